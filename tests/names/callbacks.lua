-- SPDX-License-Identifier: Apache-2.0
-- Functions that are passed, returned, wrapped, called at once.
local M = {}

pcall(function() error("x") end) --> <anonymous in main chunk, for pcall>
xpcall(function() error("x") end, function(e) return debug.traceback(e) end) --> <anonymous in main chunk, for xpcall> | <anonymous in main chunk, for xpcall>
xpcall(function() --> <anonymous in main chunk, for xpcall>
	return 1
end, function(err) --> <anonymous in main chunk, for xpcall>
	return err
end)
;(function() print("at once") end)() --> <anonymous in main chunk>
;(function(...) print(...) end)(...) --> <anonymous in main chunk>
local once = (function() local n = 0 return n end)() --> <anonymous in main chunk>
local held = (function() return 1 end) --> held
local held_twice = ((function() return 1 end)) --> held_twice
local called_deep = (((function() return 1 end)))() --> <anonymous in main chunk>
local called_late = ((function() return function() end end)()) --> <anonymous in main chunk> | <anonymous in main chunk, returned>
M.result = (function() return {} end)().field --> <anonymous in main chunk>
local method_of = (function() end):bind(1) --> <anonymous in main chunk>

local wrapped = coroutine.wrap(function(a) coroutine.yield(a) end) --> <anonymous in main chunk, for coroutine.wrap>
M.memoized = memoize(function(x) return x * x end) --> <anonymous in main chunk, for memoize>
M.both = compose(function(x) return x + 1 end, function(x) return x * 2 end) --> <anonymous in main chunk, for compose> | <anonymous in main chunk, for compose>
local t = table.sort(M, function(a, b) return a.key < b.key end) --> <anonymous in main chunk, for table.sort>
string.gsub("abc", "%w", function(c) return c:upper() end) --> <anonymous in main chunk, for string.gsub>
local s = ("abc"):gsub("%w", function(c) return c:upper() end) --> <anonymous in main chunk, for (...):gsub>
local name = M.name:gsub("^%s+", function() return "" end) --> <anonymous in main chunk, for M.name:gsub>

-- Chains.
promise:next(function(value) return value end):catch(function(err) print(err) end) --> <anonymous in main chunk, for promise:next> | <anonymous in main chunk, for promise:next():catch>
require("busted").describe("thing", function() --> <anonymous in main chunk, for require().describe>
	it("works", function() assert(true) end) --> <anonymous in main chunk, for it>
	it("fails", function() --> <anonymous in main chunk, for it>
		assert.has_error(function() error("no") end) --> <anonymous in main chunk, for assert.has_error>
	end)
	before_each(function() M.count = 0 end) --> <anonymous in main chunk, for before_each>
end)
query "users" :where { age = 3 } :each(function(row) print(row) end) --> <anonymous in main chunk, for query():where():each>
handlers[1](function() end) --> <anonymous in main chunk, for handlers[1]>
handlers[i + 1].run(function() end) --> <anonymous in main chunk, for handlers[?].run>
handlers["on load"](function() end) --> <anonymous in main chunk, for handlers["on load"]>
a.b["c"].d:e(function() end) --> <anonymous in main chunk, for a.b.c.d:e>
make()(function() end) --> <anonymous in main chunk, for make()>
make(function() end)(function() end) --> <anonymous in main chunk, for make> | <anonymous in main chunk, for make()>
outer(inner(function() end), function() end) --> <anonymous in main chunk, for inner> | <anonymous in main chunk, for outer>
outer((function() end)) --> <anonymous in main chunk, for outer>
outer(((function() return 1 end)())) --> <anonymous in main chunk>
outer(x or function() end) --> <anonymous in main chunk, for outer>

-- Tables as arguments.
event.listen({ on_read = function(self) end, on_write = function(self) end }) --> on_read | on_write
event.listen { on_close = function() end, nested = { on_error = function() end } } --> on_close | nested.on_error
event.listen { function() end, function() end } --> <anonymous in main chunk, for event.listen> | <anonymous in main chunk, for event.listen>
event.listen { [1] = function() end, [key] = function() end } --> <anonymous in main chunk, for event.listen> | <anonymous in main chunk, for event.listen>
event.listen({ list = { function() end } }) --> list[1]
spawn("name", { function() end }) --> <anonymous in main chunk, for spawn>

-- Closures that come back.
local function curry(f, n) --> curry
	return function(a) --> <anonymous in curry, returned>
		return function(b) --> <anonymous in curry, returned>
			return f(a, b, n)
		end
	end
end
function M.iterate(list) --> M.iterate
	local i = 0
	return function() i = i + 1 return list[i] end, function() i = 0 end --> <anonymous in M.iterate, returned> | <anonymous in M.iterate, returned>
end
local function either(x) --> either
	if x then return function() return x end end --> <anonymous in either, returned>
	return x == nil and function() end or nil --> <anonymous in either, returned>
end
local function guarded(f) --> guarded
	return pcall(function(...) return f(...) end) --> <anonymous in guarded, for pcall>
end
local function parenthesized() --> parenthesized
	return (function() return 2 end) --> <anonymous in parenthesized, returned>
end
local function tabled() --> tabled
	return { function() end, on = function() end } --> <anonymous in tabled, returned> | on
end

-- Places where nobody expects a function.
if (function() return true end)() then M.a = 1 end --> <anonymous in main chunk>
while (function() return false end)() do end --> <anonymous in main chunk>
repeat local stop = true until (function() return stop end)() --> <anonymous in main chunk>
for k in (function() return nil end) do print(k) end --> <anonymous in main chunk>
for _, v in function() end do print(v) end --> <anonymous in main chunk>
for i = (function() return 1 end)(), 2 do print(i) end --> <anonymous in main chunk>
M[function() end] = true --> <anonymous in main chunk>
M[(function() return "k" end)()] = function() end --> <anonymous in main chunk> | M[?]
local n = #{ function() end } --> n[1]
local same = M.f == function() end --> same
local text = "a" .. tostring(function() end) .. "b" --> <anonymous in main chunk, for tostring>
local neg = -(function() return 1 end)() --> <anonymous in main chunk>

-- OpenResty.
function M.access() --> M.access
	local ok, err = pcall(function() --> <anonymous in M.access, for pcall>
		local co = ngx.thread.spawn(function(arg) --> <anonymous in M.access, for ngx.thread.spawn>
			ngx.sleep(0.1)
			return arg
		end, 1)
		ngx.thread.wait(co)
	end)
	ngx.timer.every(1, function(premature) end) --> <anonymous in M.access, for ngx.timer.every>
	ngx.on_abort(function() ngx.exit(499) end) --> <anonymous in M.access, for ngx.on_abort>
	return ok, err
end

return function(app) app:use(function(req, res, next) next() end) end --> <anonymous in main chunk, returned> | <anonymous in main chunk, for app:use>
