#!/usr/bin/env luajit
-- SPDX-License-Identifier: Apache-2.0
-- Text that looks like functions and is none, and tokens that are hard to split.
-- function commented() end
--[[ function in_a_comment() end
function in_a_comment_too()
end ]] local function after_comment() end --> after_comment
--[==[ level two: ]] ]=] function no() end
]==] function after_level_two() end --> after_level_two
--[=[ [[ nested-looking ]] ]=] local x = function() end --> x
--[ not long: function no() end
---[[ not long either
local function visible() end --> visible
--]]
local s1 = "function no() end"
local s2 = 'function no() end -- "'
local s3 = "quoted \" function no() end"
local s4 = 'it\'s function no() end'
local s5 = [[
function no()
end
]]
local s6 = [==[
function no() ]] ]=] end
]==]
local s7 = "continued \
function no() end \
end"
local after_continuation = function() end --> after_continuation
local s8 = "skipped \z
            function no() end"
local after_z = function() end --> after_z
local s9 = "\\" local after_backslash = function() end --> after_backslash
local s10 = '\\\'' local after_quote = function() end --> after_quote
local s11 = "--[[" local after_fake_comment = function() end --> after_fake_comment
local s12 = "]]" local after_fake_end = function() end --> after_fake_end
local s13 = [[--]] local after_long = function() end --> after_long
local s14 = [=[]]]=] local after_brackets = function() end --> after_brackets
local s15 = "\065\x41\u{41}" local after_escapes = function() end --> after_escapes
local functional, myfunction, function_, endless, _end = 1, 2, 3, 4, 5
local function functionfunction() local functions = functional end --> functionfunction
local n1 = 0xff + 0XAp1 + 1e+5 + 1e-5 + .5 + 3. + 0x1p-4 + 10LL + 0xffULL + 2i
local after_numbers = function() end --> after_numbers
local n2 = 1-function_ local after_minus = function() end --> after_minus
local c1 = "a".."b"..1 ..2 local after_concat = function(...) local a, b = ... end --> after_concat
local t1 = t[ [[function no() end]] ] local after_key = function() end --> after_key
local t2 = f[[function no() end]] local after_long_argument = function() end --> after_long_argument
local t3 = f'function' local after_short_argument = function() end --> after_short_argument
local t4 = a[b[c]] local after_double_bracket = function() end --> after_double_bracket
local t5 = #"x" - -1 - - 1 local after_minuses = function() end --> after_minuses
goto done
do local function before_label() end end --> before_label
::done:: local function after_label() end --> after_label
do ::continue:: end
for i = 1, 2 do if i == 1 then goto continue end local f = function() end ::continue:: end --> f
local goto_like = { goto_ = function() end, global = function() end } --> goto_like.goto_ | goto_like.global
global = function() end --> global
global.x = function() end --> global.x
local ünïcode = function() end --> ünïcode
local t6 = { ["ünïcode"] = function() end } --> t6["ünïcode"]
local function f1() end; local function f2() end; --> f1 | f2
return function() --[[ function ]] return --[==[ end ]==] "end" --> <anonymous in main chunk, returned>
end --[[ function ]] -- end
