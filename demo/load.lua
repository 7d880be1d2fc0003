-- SPDX-License-Identifier: Apache-2.0
-- The load, for wrk -s: a fixed mix of the application's pages.
local order = [[{"customer":"c-17","lines":[{"product":11,"quantity":7},{"product":402,"quantity":23},]]
	.. [[{"product":77,"quantity":60},{"product":1300,"quantity":4}]}]]
local queries = { "red%20lamp", "wooden%20chair", "quiet%20folding%20table", "clock" }
local count = 0

-- wrk calls this global for each request.
function request() -- luacheck: ignore
	count = count + 1
	local kind = count % 20
	if kind < 10 then
		return wrk.format("GET", "/product/" .. (count * 37 % 2000 + 1))
	elseif kind < 13 then
		return wrk.format("GET", "/search/" .. queries[count % #queries + 1])
	elseif kind < 19 then
		return wrk.format("POST", "/order", { ["Content-Type"] = "application/json" }, order)
	end
	return wrk.format("GET", "/report")
end
