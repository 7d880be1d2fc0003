-- SPDX-License-Identifier: Apache-2.0
-- What a program knows of its own functions: prints "L", "vmdef ID NAME", "function ID ENTRY PATH"
-- lines. test_builtins.py runs it under each LuaJIT (with a folder for modules of its own and the
-- path of jit/vmdef.lua as arguments) and in nginx, and compares luaspy's names with it.
local P = {}

local function hex(number)
  local high = math.floor(number / 2 ^ 32)
  return string.format("%x%08x", high, number - high * 2 ^ 32)
end

-- All functions that are not Lua functions, with each of their paths.
function P.functions(out)
  local info = require("jit.util").funcinfo
  local around, never = {}, { [package.loaded] = true } -- the tables that a path goes through
  local function note(path, f)
    local what = info(f)
    if what.addr then
      out(string.format("function\t%d\t%s\t%s", what.ffid or 1, hex(what.addr), path))
    end
  end
  local walk, meta
  function walk(path, t, depth, separator)
    if around[t] or never[t] or depth > 4 then return end
    around[t] = true
    for k, v in next, t do
      if type(k) == "string" then
        local name = path == "" and k or path .. separator .. k
        if type(v) == "function" then note(name, v) end
        if type(v) == "table" then
          walk(path == "" and k or path .. "." .. k, v, depth + 1, ".")
        end
        if type(v) == "userdata" then meta(path == "" and k or path .. "." .. k, v, depth) end
      end
    end
    meta(path, t, depth)
    around[t] = nil
  end
  function meta(path, object, depth)
    local mt = debug.getmetatable(object)
    if mt then
      if type(rawget(mt, "__index")) == "table" then
        walk(path, mt.__index, depth + 1, ":")
      end
      walk(path, mt, depth + 1, ".")
    end
  end
  local G = package.loaded._G
  for k, v in pairs(package.loaded) do
    if type(v) == "function" then note(k, v) end
  end
  walk("", G, 0, ".")
  never[G] = true
  for k, v in pairs(package.loaded) do
    if type(v) == "table" then
      walk(k, v, 1, ".")
    end
  end
end

function P.address(co)
  return (string.format("%p", co):gsub("^0x", ""))
end

if not ngx then
  local folder, vmdef = arg[1], arg[2]
  package.cpath = folder .. "/?.so;" .. package.cpath
  for _, name in ipairs{"ffi", "jit.util", "jit.profile", "string.buffer", "table.new",
    "table.clear", "table.clone", "table.isarray", "table.nkeys", "table.isempty",
    "thread.exdata", "thread.exdata2", "cjson", "cjson.safe", "luaspy_test"} do
    local ok, module = pcall(require, name)
    -- OpenResty's are fields of the library already.
    if ok and name == "ffi" then module.cdef("struct luaspy_test { int x; };") end
  end
  -- What makes names ambiguous: aliases, cycles, wrapped coroutines, data.
  sprintf, aa = string.format, { a = table.concat, cycle = _G }
  json = package.loaded.cjson
  generator = coroutine.wrap(function() end)
  word = string.gmatch("a b", "%a")
  local data = {}
  for i = 1, 20000 do data["key" .. i] = { n = i } end
  big = data
  setmetatable(_G, { __index = function() return nil end })
  L = coroutine.create(function() end)
  io.write("L\t", P.address(L), "\n")
  local names = dofile(vmdef).ffnames
  for i = 2, #names do io.write("vmdef\t", i, "\t", names[i], "\n") end
  P.functions(function(line) io.write(line, "\n") end)
  io.write("end\n")
  io.flush()
  if arg[3] == "busy" then
    -- Tables that grow, shrink and die all the time, and collection.
    local n = 0
    while true do
      n = n + 1
      local m = { f = string.rep, g = { h = math.floor } }
      for i = 1, n % 200 do m["x" .. i] = { print } end
      _G["module" .. n % 50], _G["module" .. (n + 25) % 50] = m, nil
      package.loaded["churn" .. n % 20] = (n % 3 == 0) and m or nil
    end
  end
  io.read()
end
return P
