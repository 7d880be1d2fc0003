-- SPDX-License-Identifier: Apache-2.0
-- What each VM of puc_vms.c runs; N is its number (test_puc_vms.py puts it in). Each function does
-- its work in work_N, and each way by which Lua calls Lua is there.
local function work_N(n)
  local s = 0
  for i = 1, n do s = s + i % 7 end
  return s
end

local function tail_N(n) return work_N(n) end
local function thrown_N() work_N(300) error("N") end
local function called_N(n) return (work_N(n)) end
local function before_N(a, b) return work_N(60) * 0 + a < b end
local function hook_N() work_N(200) end
local function final_N() work_N(300) end
local function closer_N() work_N(300) end
local function loader_N() work_N(300) return true end
local function index_N(_, k) return (work_N(300)) end
local function add_N(a, b) return (work_N(300)) end
local function inner_N()
  for _ = 1, 3 do
    work_N(200)
    coroutine.yield()
  end
end
local function outer_N()
  local inside = coroutine.wrap(inner_N)
  for _ = 1, 2 do
    inside()
    coroutine.yield(work_N(100))
  end
end

local object = setmetatable({}, { __index = index_N, __add = add_N })
package.preload.module = loader_N

local function garbage_N()
  if newproxy then
    getmetatable(newproxy(true)).__gc = final_N
  else
    setmetatable({}, { __gc = final_N })
  end
  collectgarbage()
end

local load_text = loadstring or load
local close_N = _VERSION == "Lua 5.4" and load_text([[
  local closer = ...
  return function() local c <close> = setmetatable({}, { __close = closer }) end]])(closer_N)

function run_N()
  work_N(300)
  tail_N(300)
  pcall(called_N, 300)
  pcall(thrown_N)
  call_back(called_N, 300)
  table.sort({ 5, 2, 4, 1, 3 }, before_N)
  local resumed = coroutine.wrap(outer_N)
  resumed()
  resumed()
  local sum = object.field + (object + object)
  debug.sethook(hook_N, "", 500)
  work_N(600)
  debug.sethook()
  garbage_N()
  package.loaded.module = nil
  require("module")
  if close_N then close_N() end
  if visit then visit(N + 1) end
  return sum
end
