-- SPDX-License-Identifier: Apache-2.0
-- Hardly two samples of it have the same stack: a random walk through a tree of functions, arg[1] levels deep with
-- eight ways at each, begun anew all the time. arg[2] is the seed.
if jit then jit.off() end
local depth, random = tonumber(arg[1]), math.random
math.randomseed(tonumber(arg[2]))

local text = { "local random = ...\nlocal way = {}\n" }
for i = 1, 8 do
	text[#text + 1] = "way[" .. i .. "] = function(n)\n"
		.. "if n > 0 then local x = way[random(8)](n - 1) return x + 1 end\n"
		.. "local x = 0 for _ = 1, 200 do x = x + 1 end return x end\n"
end
text[#text + 1] = "return way"
local way = assert((loadstring or load)(table.concat(text), "=tree"))(random)
while true do way[random(8)](depth) end
