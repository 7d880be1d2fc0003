-- SPDX-License-Identifier: Apache-2.0
-- Functions that are called in every way. Behind "-->" on the line where a function is defined is the
-- name by which its caller calls it, and behind "|" the one that is left of it in stripped bytecode;
-- "-" is none. test_callsites.py reads them. With "jit" as its argument it is compiled where possible.
if ... ~= "jit" then
    jit.off()
end

local M, Class, Plain, handlers = {}, {}, {}, {}

local function spin() --> spin | -
    local sum = 0
    for i = 1, 300 do
        sum = sum + i % 7
    end
    return sum
end

function M.field() --> M.field | field
    local s = spin()
    return s
end

local function upvalue() --> upvalue | -
    local s = spin()
    return s
end

function global() --> global | global
    local s = spin()
    return s
end

-- What finds it is a function.
function Class:method() --> - | -
    local s = spin()
    return s
end

Plain.__index = Plain
function Plain:method() --> object:method | method
    local s = spin()
    return s
end

Class.__add = function() --> __add | __add
    local s = spin()
    return s
end

Class.__lt = function() --> __lt | __lt
    local s = spin()
    return s > 0
end

-- Its operands are in no slots but its own.
Class.__concat = function(_, _) --> __concat | __concat
    local s = spin()
    return s
end

Class.__call = function() --> __call | __call
    local s = spin()
    return s
end

Class.__index = function(_, key) --> __index | __index
    local s = spin()
    return key == "method" and Class.method or s
end

Class.__newindex = function() --> __newindex | __newindex
    local s = spin()
    return s
end

local function iterator(_, i) --> for iterator | for iterator
    local s = spin()
    if i < 2 then
        return i + 1, s
    end
end

handlers["a-b"] = function() --> handlers["a-b"] | ["a-b"]
    local s = spin()
    return s
end

function handlers.plain() --> handlers.plain | plain
    local s = spin()
    return s
end

-- Its caller calls `outer`, of which there is no frame.
local function inner() --> inner | -
    local s = spin()
    return s
end

local function outer() --> outer | -
    return inner()
end

-- The same, and nothing says what it is.
function M.dispatch(f) --> M.dispatch | dispatch
    return f()
end

local function apply(callback) --> apply | -
    local s = callback()
    return s
end

local function left() --> left | -
    local s = spin()
    return s
end

local function right() --> right | -
    local s = spin()
    return s
end

local function varargs(...) --> varargs | -
    local f = (...)
    local s = f()
    return s
end

local function round(obj, object, key, flag) --> round | -
    local a = M.field()
    local b = upvalue()
    local c = global()
    local d = obj:method() + object:method()
    local e = obj + 1
    local f = obj < obj
    local g = obj .. "x"
    local h = obj()
    local i = obj.field
    obj.field = 1
    for _ in iterator, nil, 0 do
        a = b
    end
    local j = handlers[key]()
    local k = outer()
    local l = M.dispatch(function() --> - | -
        local s = spin()
        return s
    end)
    local m = apply(function() --> callback | -
        local s = spin()
        return s
    end)
    local n = (flag and left or right)()
    pcall(function() --> - | -
        local s = spin()
        return s
    end)
    coroutine.wrap(function() --> - | -
        local s = spin()
        return s
    end)()
    local o = varargs(function() --> f | -
        local s = spin()
        return s
    end)
    return a, b, c, d, e, f, g, h, i, j, k, l, m, n, o
end

local stop = os.time() + 60
local obj, object = setmetatable({}, Class), setmetatable({}, Plain)
local count = 0
while os.time() < stop do
    count = count + 1
    round(obj, object, count % 2 == 0 and "a-b" or "plain", count % 3 == 0)
end
