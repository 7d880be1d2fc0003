-- SPDX-License-Identifier: Apache-2.0
-- Functions that are defined in every way, one on a line. Behind "-->" is the name that the source gives (as for
-- symbol/lua_source.h), which the bytecode around the definition has to give as well; behind "|" the one that is left
-- in stripped bytecode, where that is another; "-" is none. Read by test_puc_names.py, for Lua 5.1 to 5.5.
local SPINS = 40
local work = 0
local M, Class, sub, handlers, all = {}, {}, { deep = { er = {} } }, {}, {}
Class.__index = Class
local function add(f) all[#all + 1] = f end
local function keep(t) for _, f in pairs(t) do all[#all + 1] = f end end
local holder = { keep = add, put = function(_, f) add(f) end }

local function first() for i = 1, SPINS do work = work + i % 7 end end --> first | -
local second = function() for i = 1, SPINS do work = work + i % 7 end end --> second | -
local third
third = function() for i = 1, SPINS do work = work + i % 7 end end --> third | -
local fourth, fifth =
  function() for i = 1, SPINS do work = work + i % 7 end end, --> fourth | -
  function() for i = 1, SPINS do work = work + i % 7 end end --> fifth | -
function Global() for i = 1, SPINS do work = work + i % 7 end end --> Global
Assigned = function() for i = 1, SPINS do work = work + i % 7 end end --> Assigned
Left, Right =
  function() for i = 1, SPINS do work = work + i % 7 end end, --> Left
  function() for i = 1, SPINS do work = work + i % 7 end end --> Right
local unset, never
local chosen = unset or function() for i = 1, SPINS do work = work + i % 7 end end --> chosen | -
local either = third and function() for i = 1, SPINS do work = work + i % 7 end end or third --> either | -
Chosen = unset or never or function() for i = 1, SPINS do work = work + i % 7 end end --> Chosen
M.chosen = third and function() for i = 1, SPINS do work = work + i % 7 end end or third --> M.chosen | chosen
add(first) add(second) add(third) add(fourth) add(fifth) add(chosen) add(either)
keep({ Global, Assigned, Left, Right, Chosen, M.chosen })

function M.field() for i = 1, SPINS do work = work + i % 7 end end --> M.field | field
M.assigned = function() for i = 1, SPINS do work = work + i % 7 end end --> M.assigned | assigned
M["also"] = function() for i = 1, SPINS do work = work + i % 7 end end --> M.also | also
M["x-y"] = function() for i = 1, SPINS do work = work + i % 7 end end --> M["x-y"] | ["x-y"]
M[1] = function() for i = 1, SPINS do work = work + i % 7 end end --> M[1] | -
M[work] = function() for i = 1, SPINS do work = work + i % 7 end end --> M[?] | -
M[work + 5] = function() for i = 1, SPINS do work = work + i % 7 end end --> M[?] | -
M["end"] = function() for i = 1, SPINS do work = work + i % 7 end end --> M["end"] | ["end"]
function sub.deep.er.most() for i = 1, SPINS do work = work + i % 7 end end --> sub.deep.er.most | deep.er.most
sub.deep["a b"] = function() for i = 1, SPINS do work = work + i % 7 end end --> sub.deep["a b"] | deep["a b"]
function Class:method() for i = 1, SPINS do work = work + i % 7 end end --> Class:method | method
function Class.static(a) for i = 1, SPINS do work = work + i % 7 end end --> Class.static | static
function sub.deep:method() for i = 1, SPINS do work = work + i % 7 end end --> sub.deep:method | deep.method
Class.later = function(self) --> Class.later | later
  for i = 1, SPINS do work = work + i % 7 end
end
keep(M) keep(sub.deep.er) add(sub.deep["a b"]) add(Class.method) add(Class.static) add(Class.later) add(sub.deep.method)

local T = {
  get = function() for i = 1, SPINS do work = work + i % 7 end end, --> T.get | get
  ["in quotes"] = function() for i = 1, SPINS do work = work + i % 7 end end, --> T["in quotes"] | ["in quotes"]
  [7] = function() for i = 1, SPINS do work = work + i % 7 end end, --> T[7] | -
  function() for i = 1, SPINS do work = work + i % 7 end end, --> T[1] | -
  function() for i = 1, SPINS do work = work + i % 7 end end, --> T[2] | -
  inner = {
    leaf = function() for i = 1, SPINS do work = work + i % 7 end end, --> T.inner.leaf | inner.leaf
    function() for i = 1, SPINS do work = work + i % 7 end end, --> T.inner[1] | inner[1]
    chosen = unset or function() for i = 1, SPINS do work = work + i % 7 end end, --> T.inner.chosen | inner.chosen
  },
  flag = unset and 1 or 2,
  last = function(self) for i = 1, SPINS do work = work + i % 7 end end, --> T.last | last
}
Items = { get = function() for i = 1, SPINS do work = work + i % 7 end end } --> Items.get
handlers.on = { open = function() for i = 1, SPINS do work = work + i % 7 end end } --> handlers.on.open | on.open
add(T.get) add(T["in quotes"]) add(T[7]) add(T[1]) add(T[2]) keep(T.inner) add(T.last) keep(Items) keep(handlers.on)

add(function() for i = 1, SPINS do work = work + i % 7 end end) --> <anonymous in main chunk, for add> | <anonymous in main chunk>
holder.keep(function() for i = 1, SPINS do work = work + i % 7 end end) --> <anonymous in main chunk, for holder.keep> | <anonymous in main chunk, for keep>
holder:put(function() for i = 1, SPINS do work = work + i % 7 end end) --> <anonymous in main chunk, for holder:put> | <anonymous in main chunk, for put>
table.insert(all, function() for i = 1, SPINS do work = work + i % 7 end end) --> <anonymous in main chunk, for table.insert>
keep({ kept = function() for i = 1, SPINS do work = work + i % 7 end end }) --> kept
keep({ function() for i = 1, SPINS do work = work + i % 7 end end }) --> <anonymous in main chunk, for keep> | <anonymous in main chunk>
setmetatable(M, { __index = function() for i = 1, SPINS do work = work + i % 7 end end }) --> __index
add(getmetatable(M).__index)

local function maker(n)
  local function inside() for i = 1, SPINS do work = work + i % 7 end end --> inside | -
  function M.inside() for i = 1, SPINS do work = work + i % 7 end end --> M.inside | inside
  third = function() for i = 1, SPINS do work = work + i % 7 end end --> third | -
  FromInside = function() for i = 1, SPINS do work = work + i % 7 end end --> FromInside
  function Class:inner() for i = 1, SPINS do work = work + i % 7 end end --> Class:inner | inner
  add(inside) add(M.inside) add(third) add(FromInside) add(Class.inner)
  add(function() for i = 1, SPINS do work = work + i % 7 end end) --> <anonymous in maker, for add> | -
  for k, v in pairs({ 1 }) do
    local looped = function() for i = 1, SPINS do work = work + i % 7 + n + v end end --> looped | -
    add(looped)
    if k then
      M.branch = function() for i = 1, SPINS do work = work + i % 7 end end --> M.branch | branch
    else
      M.branch = nil
    end
    add(M.branch)
  end
  if n == 1 then
    return function() for i = 1, SPINS do work = work + i % 7 end end --> <anonymous in maker, returned> | -
  end
  return { get = function() for i = 1, SPINS do work = work + i % 7 end end } --> get
end
add(maker(1))
keep(maker(2));
(function()
  add(function() for i = 1, SPINS do work = work + i % 7 end end) --> <anonymous in main chunk, for add> | -
  function M.called() for i = 1, SPINS do work = work + i % 7 end end --> M.called | called
  add(M.called)
end)()

while true do
  for i = 1, #all do all[i](all[i], M) end
end
