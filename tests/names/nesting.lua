-- SPDX-License-Identifier: Apache-2.0
-- Functions in functions, in all blocks.
local function l1() --> l1
	local function l2() --> l2
		local function l3() --> l3
			local function l4() --> l4
				local function l5() --> l5
					local function l6() --> l6
						return function() --> <anonymous in l6, returned>
							return function() return pcall(function() end) end --> <anonymous in l6, returned> | <anonymous in l6, for pcall>
						end
					end
					return l6
				end
				return l5
			end
			return l4
		end
		return l3
	end
	return l2
end

function blocks(n) --> blocks
	if n == 1 then
		local function in_if() end --> in_if
	elseif n == 2 then
		local function in_elseif() end --> in_elseif
	elseif n == 3 then local function in_elseif_too() end --> in_elseif_too
	else
		local function in_else() end --> in_else
		if n then else local function in_else_of_if() end end --> in_else_of_if
	end
	while n > 0 do
		local function in_while() n = n - 1 end --> in_while
		if n == 5 then break end
	end
	for i = 1, n do local function in_for() return i end in_for() end --> in_for
	for k, v in pairs({}) do
		local function in_for_in() return k, v end --> in_for_in
	end
	repeat
		local function in_repeat() return true end --> in_repeat
	until in_repeat()
	do
		local function in_do() end --> in_do
		do do do local function in_dos() end end end end --> in_dos
	end
	while true do if n then repeat for i = 1, 2 do local f = function() end end until true end break end --> f
	local function after_blocks() return end --> after_blocks
	return after_blocks
end

-- Anonymous functions in anonymous functions are in the nearest one that has a name.
run(function() --> <anonymous in main chunk, for run>
	run(function() --> <anonymous in main chunk, for run>
		local named = function() --> named
			run(function() --> <anonymous in named, for run>
				(function() return function() end end)() --> <anonymous in named> | <anonymous in named, returned>
			end)
		end
		local t = { field = function() run(function() end) end } --> t.field | <anonymous in t.field, for run>
		function t.method:call() return function() end end --> t.method:call | <anonymous in t.method:call, returned>
	end)
end)
local immediately = (function() --> <anonymous in main chunk>
	local function inside() return function() end end --> inside | <anonymous in inside, returned>
	run(function() end) --> <anonymous in main chunk, for run>
	return inside
end)()
local kept = (function() --> kept
	run(function() end) --> <anonymous in kept, for run>
end)
M[i] = function() return function() end end --> M[?] | <anonymous in M[?], returned>
local deep = { a = { a = { a = { a = { a = { a = { a = { a = { a = { a = { a = { a = { a = { a = { a = { a = { a = { a = { a = { a = function() do do do do do do do do do do do do do do do do do do do do do do do do do do do do do do call(call(call(call(call(call(call(call(call(call(call(call(call(call(call(call(call(call(call(call(function() end)))))))))))))))))))) end end end end end end end end end end end end end end end end end end end end end end end end end end end end end end end } } } } } } } } } } } } } } } } } } } } --> deep.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a | <anonymous in deep.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a, for call>
