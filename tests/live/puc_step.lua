-- SPDX-License-Identifier: Apache-2.0
-- What tests/live/puc_step.c steps: as many ways through luaV_execute as fit, in Lua 5.1 to 5.5.
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
local function tail(n) if n == 0 then return 0 end return tail(n - 1) end
local function vararg(...) local a, b = ... return select("#", ...), a, b end
local meta = {}
meta.__add = function(a, b) return a.n + (type(b) == "number" and b or b.n) end
meta.__index = function(_, k) return k end
meta.__newindex = function(t, k, v) rawset(t, k, v) end
meta.__eq = function(a, b) return a.n == b.n end
meta.__lt = function(a, b) return a.n < b.n end
meta.__le = function(a, b) return a.n <= b.n end
meta.__concat = function(a, b) return tostring(a.n or a) .. tostring(b.n or b) end
meta.__call = function(self, x) return self.n + x end
meta.__len = function() return 7 end
meta.__unm = function(a) return -a.n end
local function object(n) return setmetatable({n = n}, meta) end
local function metamethods(i)
	local a, b = object(i), object(i + 1)
	local s = a + b + (a + 1)
	a.x = a.y
	s = s .. (a .. b)
	local c = a == b or a < b or a <= b or a ~= b
	return s, c, a(3), -a, #a
end
local function loops(n)
	local t, s = {}, 0
	for i = 1, n do t[i] = i * 2 end
	for i = n, 1, -1 do s = s + t[i] % 3 - i / 2 end
	for k, v in pairs(t) do s = s + k * v end
	for _, v in ipairs(t) do s = s + v end
	local i = 0
	while i < n do i = i + 1 if i == 7 then break end end
	repeat i = i - 1 until i <= 0
	for x = 1.0, 3.0, 0.5 do s = s + x ^ 2 end
	return s, not t, i == 3, i ~= "x", s > 2, s >= 2, "a" < "b"
end
local function closures(n)
	local f = {}
	for i = 1, n do f[i] = function(x) n = n + x return i + n end end
	return f[1](1) + f[2](2)
end
local function callbacks(n)
	local t = {}
	for i = 1, n do t[i] = (i * 7919) % 31 end
	table.sort(t, function(a, b) return a > b end)
	local s = string.gsub("hello world", "%w+", function(w) return w:upper() .. #w end)
	return s, pcall(error, "x"), pcall(function() local x = nil; return x.y end)
end
local function coroutines(n)
	local co = coroutine.wrap(function(a)
		for i = 1, n do a = coroutine.yield(a + i) end
		return fib(5)
	end)
	local s = 0
	for i = 1, n + 1 do s = s + co(i) end
	local inner = coroutine.wrap(function()
		local c = coroutine.wrap(function() coroutine.yield(1) return 2 end)
		coroutine.yield(c() + c())
	end)
	return s + inner()
end
local function tables()
	local big = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, x = 1, y = "z", vararg(1, 2, 3)}
	local s = {big.x, big["y"], big[3], #big, -big[1], vararg(unpack and unpack(big) or big[1])}
	return big, s
end
local code = "local a, b = ... local t = {} for i = 1, 5 do t[i] = i // 2 + (i & 3 | 1) ~ (i << 1) >> 1 end " ..
	"goto over ::back:: do return a + #t + ~a + (a // 1) end ::over:: goto back"
local modern = (loadstring or load)(code)
local closing = (loadstring or load)("local s = 0 for i = 1, 3 do local c <close> = " ..
	"setmetatable({}, {__close = function() s = s + 1 end}) local k <const> = 5 s = s + k end return s")
local rounds = 0
while rounds < 10000 do
	rounds = rounds + 1
	fib(6) tail(5) vararg(1, 2, 3) metamethods(rounds) loops(12) closures(4) callbacks(8) coroutines(3) tables()
	if modern then modern(5, 6) end
	if closing then closing() end
end
