-- SPDX-License-Identifier: Apache-2.0
-- Templates: {{expression}} and {% statement %}, compiled to a Lua function once.
local text = require("shop.text")

local _M = {}

local function literal(str)
	return string.format("out[#out + 1] = %q\n", str)
end

local function translate(source)
	local code = { "local out = {}\n" }
	local position = 1
	while true do
		local first, last, kind, inner = source:find("{([{%%])%s*(.-)%s*[}%%]}", position)
		if not first then
			break
		end
		code[#code + 1] = literal(source:sub(position, first - 1))
		if kind == "{" then
			code[#code + 1] = "out[#out + 1] = escape(" .. inner .. ")\n"
		else
			code[#code + 1] = inner .. "\n"
		end
		position = last + 1
	end
	code[#code + 1] = literal(source:sub(position))
	code[#code + 1] = "return table.concat(out)\n"
	return table.concat(code)
end

function _M.compile(source)
	local chunk = assert(loadstring(translate(source), "=template"))
	return function(values)
		local scope = setmetatable({
			escape = function(value)
				return text.escape_html(tostring(value))
			end,
		}, {
			__index = function(_, name)
				local value = values[name]
				if value == nil then
					return _G[name]
				end
				return value
			end,
		})
		return setfenv(chunk, scope)()
	end
end

return _M
