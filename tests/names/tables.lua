-- SPDX-License-Identifier: Apache-2.0
-- Table constructors and assignments to fields.
local M = {
	get = function(t, k) return t[k] end, --> M.get
	set = function(t, k, v) t[k] = v end; --> M.set
	["with"] = function() end, --> M.with
	["a-b"] = function() end, --> M["a-b"]
	['single quoted'] = function() end, --> M["single quoted"]
	[ [[long]] ] = function() end, --> M.long
	["end"] = function() end, --> M["end"]
	["goto"] = function() end, --> M.goto
	["1x"] = function() end, --> M["1x"]
	[""] = function() end, --> M[""]
	["tab\tin it"] = function() end, --> M["tab\tin it"]
	["a very long key with more than forty characters in it"] = function() end, --> M["a very long key with more than forty cha..."]
	[1] = function() end, --> M[1]
	[2.5] = function() end, --> M[2.5]
	[0x10] = function() end, --> M[0x10]
	[true] = function() end, --> M[true]
	[-1] = function() end, --> M[?]
	[1 + 1] = function() end, --> M[?]
	[("x"):rep(3)] = function() end, --> M[?]
	[constant] = function() end, --> M[?]
	[types.A] = { run = function() end }, --> M[?].run
	function() end, --> M[1]
	function() end, --> M[2]
	{ function() end, name = function() end }, --> M[3][1] | M[3].name
	sub = { x = function() end, sub = { y = function() end, [3] = function() end } }, --> M.sub.x | M.sub.sub.y | M.sub.sub[3]
	either = M_get or function() end, --> M.either
	called = (function() return 1 end)(), --> <anonymous in main chunk>
	wrapped = wrap(function() end), --> <anonymous in main chunk, for wrap>
	parens = (function() end), --> M.parens
	parens_table = ({ inside = function() end }), --> inside
	argument = new { inside = function() end }, --> inside
	value = value, flag = true, [nothing] = nil, "text", 1, -2, nil,
	last = function() end --> M.last
}

M.direct = function() end --> M.direct
M["quoted"] = function() end --> M.quoted
M['not-an-identifier'] = function() end --> M["not-an-identifier"]
M[1] = function() end --> M[1]
M[i] = function() end --> M[?]
M[#M + 1] = function() end --> M[?]
M.list[#M.list + 1] = function() end --> M.list[?]
M.a.b.c = function() end --> M.a.b.c
M.a["b"].c = function() end --> M.a.b.c
M.a[1].c = function() end --> M.a[1].c
M.a[f(x)].c = function() end --> M.a[?].c
M:get().field = function() end --> M:get().field
get(1)(2).field = function() end --> get()().field
(M or {}).field = function() end --> (...).field
M.table = { a = function() end, { b = function() end } } --> M.table.a | M.table[1].b
M.x, M.y = function() end, function() end --> M.x | M.y
M.p, M.q, M.r = 1, function() end --> M.q
M.one = function() end, function() end --> M.one | <anonymous in main chunk>
M.s, M.t = f(function() end), function() end --> <anonymous in main chunk, for f> | M.t
local a, b, c = function() end, { z = function() end }, function() end --> a | b.z | c
local d, e = (function() end), (function() end)() --> d | <anonymous in main chunk>
g, h = function() return function() end end, nil --> g | <anonymous in g, returned>
local none = nil, function() end --> <anonymous in main chunk>
x.y.z, v = function() end, { w = { function() end } } --> x.y.z | v.w[1]

global_function = function() end --> global_function
_G.global_field = function() end --> _G.global_field
_G["global quoted"] = function() end --> _G["global quoted"]
local fallback = table.unpack or function(t, i) return unpack(t, i) end --> fallback
local chosen = cond and function() return 1 end or function() return 2 end --> chosen | chosen
M.defaults = opts or { on = function() end } --> M.defaults.on
M.negated = not function() end --> M.negated

-- The same name for a table in a function.
local function build() --> build
	local ops = { add = function(x, y) return x + y end, sub = function(x, y) return x - y end } --> ops.add | ops.sub
	ops.mul = function(x, y) --> ops.mul
		local inner = { run = function() return x * y end } --> inner.run
		return inner.run()
	end
	return setmetatable(ops, { __index = function(_, k) return k end, __call = function() end }) --> __index | __call
end

-- Dispatch tables.
local dispatch = {
	GET = function(req) return req.read(function() end) end, --> dispatch.GET | <anonymous in dispatch.GET, for req.read>
	POST = function(req) --> dispatch.POST
		req.body(function(chunk) --> <anonymous in dispatch.POST, for req.body>
			store[#store + 1] = chunk
		end)
	end,
	[404] = function() return "not found" end, --> dispatch[404]
	["*"] = function() end, --> dispatch["*"]
}
local states = {
	start = { enter = function(self) end, leave = function(self) end, on = { tick = function() end } }, --> states.start.enter | states.start.leave | states.start.on.tick
	stop = { enter = function(self) end }, --> states.stop.enter
}
local empty, trailing = {}, { function() end, } --> trailing[1]
local semicolons = { function() end; x = function() end; } --> semicolons[1] | semicolons.x

return {
	M = M,
	get = function() return M end, --> get
	nested = { deep = function() end, [1] = function() end }, --> nested.deep | nested[1]
	["a b"] = function() end, --> ["a b"]
	[0] = function() end, --> <anonymous in main chunk, returned>
	function() end, --> <anonymous in main chunk, returned>
}, function() end --> <anonymous in main chunk, returned>
