-- SPDX-License-Identifier: Apache-2.0
-- Lines that end with CR LF.
local M = {}
function M.one(a) --> M.one
	return [[
function no()
end
]]
end
function M.two() --> M.two
	return "continued \
function no()" end
local after = function() end --> after
--[[ a comment
of lines ]] local function three() --> three
end
local function four
( --> four
) return function() --> <anonymous in four, returned>
end end
pcall(function() --> <anonymous in main chunk, for pcall>
	local x = "skipped \z
		end"
	return function() end --> <anonymous in main chunk, returned>
end)
return M
