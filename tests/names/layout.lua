-- SPDX-License-Identifier: Apache-2.0
-- The parts of a definition on different lines. A marker stands where Lua says the function starts.
local function
spread
( --> spread
	a,
	b
)
	return a
end
function --> statement
statement
(
)
end
function --> M.a.b:c
M
.
a
.b
:
c
(x)
end
local assigned =
function
( --> assigned
) end
local below
=
function --[[ a comment
that takes lines ]] () --> below
end
local function one() end local function two() end local function three() end --> one | two | three
local function outer() local function inner() return function() end end return inner end --> outer | inner | <anonymous in inner, returned>
local function first() --> first
end local function second() --> second
end local function third() end --> third
t = { a = function() --> t.a
end, b = function() --> t.b
end, function() --> t[1]
end } call(function() --> <anonymous in main chunk, for call>
end, function() --> <anonymous in main chunk, for call>
end)
local function same_lines(a) local function same_lines_inside(b) --> same_lines | same_lines_inside
end end
local
function
far
( --> far
	...
)
	local x = {
		y
		=
		function() end --> x.y
	}
end
