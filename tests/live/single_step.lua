-- SPDX-License-Identifier: Apache-2.0
-- A program whose every possible stack is known, for tests/live/single_step.c and test_true_order.py. It
-- runs on LuaJIT and on Lua 5.1 to 5.5.
--
-- "--@name" on the line on which a function starts names it; no two start on one line. Lines that
-- begin with "--:" declare who may call whom: "a>b" directly (or as a metamethod), "a>C>b" through one
-- built-in or C function, "a>C>C>b" through two, "*>b" from anywhere. There are no others; so a frame that
-- is missing, left over or out of order makes a pair that is not declared.
--
-- Argument: rounds to run before the process stops itself, to be stepped.
local with_ffi, ffi = pcall(require, "ffi")
if with_ffi then
	ffi.cdef [[
	int getpid(void);
	int kill(int pid, int signal);
	void qsort(void *base, size_t count, size_t size, int (*compare)(const int *, const int *));
	]]
end
-- Functions that call back into Lua must not be compiled.
local with_ffi_calls = jit and jit.off or function() end
local unpack, bit = unpack or table.unpack, bit or { band = math.min }

--: main>round
--: round>calls calls>one one>two two>three calls>many many>three calls>tail_first
--: calls>tail_second tail_second>three calls>make_adder calls>adder adder>two
local function three(a, b) return b, a, a + b end --@three
local function two(a, b) --@two
	local x, y, z = three(a, b)
	return z, x, y
end
local function one(a) --@one
	local x = two(a, a + 1)
	return x + select(2, two(a, a))
end
local function many(n) --@many
	return n, three(n, n)
end
local function tail_second(a) local x = three(a, a) return x end --@tail_second
local function tail_first(a, b) return tail_second(a + b) end --@tail_first
local function make_adder(n) --@make_adder
	return function(m) local x = two(n, m) return x end --@adder
end
local function calls(n) --@calls
	local a, b, c, d = many(n)
	local sum = one(n) + a + b + c + d + tail_first(n, n)
	local t = { many(n) }
	return sum + #t + make_adder(n)(3), (many(n))
end

--: round>recursion recursion>fib fib>fib recursion>down down>down recursion>C>down down>C>down
local function fib(n) --@fib
	if n < 2 then return n end
	return fib(n - 1) + fib(n - 2)
end
local function down(n) --@down
	if n == 0 then return 0 end
	if n % 9 == 0 then return select(2, pcall(down, n - 1)) + 1 end
	return down(n - 1) + 1
end
local function recursion(n) --@recursion
	-- The second one starts on a small stack, which has to grow.
	return fib(7) + down(4) + coroutine.wrap(down)(60)
end

--: round>errors errors>C>thrower thrower>deeper errors>C>failing_index failing_index>handler
--: errors>C>thrower_handled thrower_handled>C>handler handler>three errors>C>C>bad_less
--: careful>C>thrower errors>C>arithmetic arithmetic>handler errors>C>rethrow
--: rethrow>C>thrower errors>C>three
-- (Lua 5.1 does not give xpcall's arguments on: "again" cannot be put together, and the handler is called there.)
--: thrower_handled>handler
local function deeper(n) if n > 0 then error({ n }) end return n end --@deeper
local function thrower(n) local x = deeper(n) return x, n end --@thrower
local function handler(message) local x = three(1, 2) return message, x end --@handler
local function failing_index(t) return t.x.y end --@failing_index
local function arithmetic(t) return t + 1 end --@arithmetic
local function thrower_handled(n) error("again " .. n) end --@thrower_handled
local function bad_less(a, b) error("unordered") end --@bad_less
local function careful(n) --@careful
	local ok, e = pcall(thrower, n)
	return ok, e
end
local function rethrow(n) --@rethrow
	local ok, e = pcall(thrower, n)
	error(e, 0)
end
local function errors(n) --@errors
	local count = 0
	if not pcall(thrower, 1) then count = count + 1 end
	if pcall(thrower, -1) then count = count + 1 end
	if not xpcall(failing_index, handler, {}) then count = count + 1 end
	if not xpcall(arithmetic, handler, {}) then count = count + 1 end
	if not xpcall(thrower_handled, handler, n) then count = count + 1 end
	if not pcall(table.sort, { 3, 1, 2 }, bad_less) then count = count + 1 end
	if not pcall(rethrow, 1) then count = count + 1 end
	local _, a, b = pcall(three, 1, 2)
	if not pcall(error, "plain") then count = count + 1 end
	return count, a, b, careful(1)
end

--: errors>careful round>callbacks callbacks>C>less less>compare callbacks>C>replace replace>C>thrower
--: callbacks>C>replace_sort replace_sort>C>less callbacks>library library>each each>three
local function compare(a, b) return a < b, a end --@compare
local function less(a, b) local x = compare(a, b) return x end --@less
local function replace(word) --@replace
	local ok = pcall(thrower, 1)
	return word .. tostring(ok)
end
local function replace_sort(word) --@replace_sort
	local t = { word, "b", "a" }
	table.sort(t, less)
	return t[1]
end
local function each(k, v) three(k, v) end --@each
local function callbacks(n) --@callbacks
	local t = { 5, 2, 8, 1, 9, 3 }
	table.sort(t, less)
	local s = string.gsub("one two", "%w+", replace)
	s = s .. string.gsub("x y", "%w", replace_sort)
	if jit then table.foreach(t, each) end
	return s, (string.rep("ab", 3)):upper():byte(1, -1)
end

--: round>coroutines coroutines>C>outer outer>C>middle middle>C>inner inner>C>yielding
--: inner>three producer>C>thrower coroutines>C>broken broken>deeper
--: coroutines>C>tail_yield coroutines>C>C>inner outer>C>C>inner outer>C>C>three middle>C>three
--: coroutines>drain drain>C>producer middle>three
local function yielding(n) coroutine.yield(n) return n, n + 1 end --@yielding
local function inner(n) --@inner
	local ok, a, b = pcall(yielding, n)
	coroutine.yield(three(a, b))
	return three(n, n)
end
local function middle(n) --@middle
	local co = coroutine.create(inner)
	local ok, a = coroutine.resume(co, n)
	three(n, n)
	coroutine.yield(a)
	ok, a = coroutine.resume(co)
	coroutine.yield(a)
	return coroutine.resume(co)
end
local function outer(n) --@outer
	local step = coroutine.wrap(middle)
	local a = step(n)
	coroutine.yield(a)
	a = step()
	coroutine.yield(a, a)
	local _, b, c, d = step()
	return b, c, d
end
local function producer() --@producer
	for i = 1, 3 do
		pcall(thrower, 1)
		coroutine.yield(i)
	end
end
local function broken(n) coroutine.yield(n) return (deeper(1)) end --@broken
local function tail_yield(n) return coroutine.yield(n) end --@tail_yield
local function drain(step) --@drain
	local sum = 0
	for i in step do sum = sum + i end
	return sum
end
local function coroutines(n) --@coroutines
	local step = coroutine.wrap(outer)
	local a, b = step(n), step(n)
	local c, d, e = step()
	local sum = drain(coroutine.wrap(producer))
	local co = coroutine.create(broken)
	coroutine.resume(co, 1)
	local ok = coroutine.resume(co)
	co = coroutine.create(tail_yield)
	coroutine.resume(co, 1)
	coroutine.resume(co, 2, 3, 4)
	local alive = pcall(coroutine.resume, coroutine.create(inner), 1)
	return a, b, c, d, e, sum, ok, alive, coroutine.status(co)
end

--: round>metamethods metamethods>index index>index_deep metamethods>newindex newindex>three
--: metamethods>add add>three metamethods>concat metamethods>call_object call_object>two
--: metamethods>C>text metamethods>lt lt>compare metamethods>le le>compare metamethods>eq metamethods>unm
--: metamethods>text varargs>C>va_inner metamethods>C>call_object
local function index_deep(t, k) return k end --@index_deep
local function index(t, k) local x = index_deep(t, k) return x end --@index
local function newindex(t, k, v) three(1, 2) end --@newindex
local function add(a, b) return (three(1, 2)) end --@add
local function concat(a, b) return "joined" end --@concat
local function call_object(self, a, b) local x, y = two(a, b) return y, x end --@call_object
local function lt(a, b) local x = compare(a.n, b.n) return x end --@lt
local function le(a, b) local x = compare(a.n, b.n + 1) return x end --@le
local function eq(a, b) return a.n == b.n end --@eq
local function unm(a) return a.n end --@unm
local function text(a) return "object" end --@text
local meta = { __index = index, __newindex = newindex, __add = add, __concat = concat, __call = call_object,
	__lt = lt, __le = le, __eq = eq, __unm = unm, __tostring = text }
local function metamethods(n) --@metamethods
	local a, b = setmetatable({ n = 1 }, meta), setmetatable({ n = 2 }, meta)
	local x = a.missing .. a["b" .. n]
	a.new = 1
	a[n + 100] = a[n + 200]
	x = x .. (a + b) .. (1 + b) .. (a .. b) .. ("s" .. a .. "t") .. -a
	local p, q = a(1, 2)
	if a < b then x = x .. "1" end
	if a <= b then x = x .. "2" end
	if not (b < a) then x = x .. "3" end
	if a == b then x = x .. "4" end
	local order = a < b
	local ok, r = pcall(a, 3, 4)
	return x, p, q, order, tostring(a), r
end

--: round>varargs varargs>va va>va_inner va_inner>three varargs>va_tail varargs>target target>three
-- (Lua 5.4 keeps the frame of a function that calls a C function at its end.)
--: va_pcall>C>va_inner varargs>va_pcall varargs>va_count varargs>va_second va_second>va_inner
--: va_tail>three
local function target(a, b) local x = three(a, b) return x end --@target
local function va_inner(...) --@va_inner
	local a, b = ...
	local x, y, z = three(a, b)
	return x, ...
end
local function va(...) local x = va_inner(...) return x, va_inner(1, ...) end --@va
local function va_tail(...) three(1, 2) return target(...) end --@va_tail
local function va_pcall(...) return pcall(va_inner, ...) end --@va_pcall
local function va_count(...) return select("#", ...), (...) end --@va_count
local function va_second(a, ...) return { va_inner(...) } end --@va_second
local function varargs(n) --@varargs
	local a, b, c = va(1, 2, 3)
	local t = { va_tail(4, 5) }
	local ok, x = va_pcall(6, 7, 8, 9)
	va_second(1, 2, 3)
	return a, b, c, #t, ok, x, va_count(1, nil, 3), unpack(t)
end

--: round>loops loops>iterator loops>body body>three loops>sum
local function iterator(limit, i) if i < limit then return i + 1, i end end --@iterator
local function body(i) local x = three(i, i) return x end --@body
local function sum(t) --@sum
	local s = 0
	for k, v in pairs(t) do s = s + v end
	for i, v in ipairs(t) do s = s + v % 3 + math.floor(v / 2) end
	for i = 1, 30 do s = s + math.max(i, 3) + bit.band(i, 7) end
	return s
end
local function loops(n) --@loops
	local s = 0
	for i, j in iterator, 4, 0 do s = s + j end
	for i = 1, 3 do s = s + body(i) end
	local i = 0
	repeat i = i + 1 until i > 5
	return s + sum({ 1, 2, 3, x = 4 }), ("%d %s"):format(n, "x"), table.concat({ 1, 2, 3 }, ",")
end

--: round>foreign foreign>C>by_value by_value>compare by_value>C>thrower
local function by_value(a, b) --@by_value
	local x = compare(a[0], b[0])
	if a[0] == 1 then pcall(thrower, 1) end
	return x and -1 or 1
end
local callback = with_ffi and ffi.cast("int (*)(const int *, const int *)", by_value)
local function foreign(n) --@foreign
	if not with_ffi then return n end
	local numbers = ffi.new("int[4]", 4, 1, 3, 2)
	ffi.C.qsort(numbers, 4, 4, callback)
	return numbers[0]
end
with_ffi_calls(foreign)

--: round>garbage garbage>three *>finalizer finalizer>three
local function finalizer() three(1, 2) end --@finalizer
local function garbage(n) --@garbage
	local proxy = newproxy and newproxy(true) or setmetatable({}, { __gc = finalizer })
	getmetatable(proxy).__gc = finalizer
	proxy = nil
	local list = {}
	for i = 1, 10 do list[i] = { i, tostring(i), three(i, i) } end
	return #list
end

local function round(n) --@round
	local x = calls(n)
	recursion(n)
	errors(n)
	callbacks(n)
	coroutines(n)
	metamethods(n)
	varargs(n)
	loops(n)
	foreign(n)
	garbage(n)
	return x
end

pcall(collectgarbage, "setpause", 50) -- collects all the time, from wherever something is allocated
for i = 1, tonumber((...)) do round(i) end
if with_ffi then
	ffi.C.kill(ffi.C.getpid(), 19) -- SIGSTOP
else
	os.execute("kill -STOP $PPID")
end
local i = 0
while true do
	i = i + 1
	round(i)
end
