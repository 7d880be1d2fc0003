-- SPDX-License-Identifier: Apache-2.0
-- What a program of PUC Lua 5.1 to 5.5 knows of its own C functions: prints "L ADDRESS", "heap
-- BYTES", "function ADDRESS PATH" (ADDRESS: of the closure, or of a light function's code), "end".
-- test_puc_builtins.py runs it and compares luaspy's names with it.
local around, never = {}, {} -- the tables that a path goes through, those that none goes through

local function address(object)
  return (tostring(object):match("0x(%x+)"))
end

local function note(path, f)
  if debug.getinfo(f, "S").what == "C" then
    io.write("function\t", address(f), "\t", path, "\n")
  end
end

local walk, meta
function walk(path, t, depth, separator)
  if around[t] or never[t] or depth > 4 then return end
  around[t] = true
  for k, v in next, t do
    if type(k) == "string" then
      local inside = path == "" and k or path .. "." .. k
      if type(v) == "function" then note(path == "" and k or path .. separator .. k, v) end
      if type(v) == "table" then walk(inside, v, depth + 1, ".") end
      if type(v) == "userdata" then meta(inside, v, depth) end
    end
  end
  meta(path, t, depth)
  around[t] = nil
end
function meta(path, object, depth)
  local mt = debug.getmetatable(object)
  if mt then
    if type(rawget(mt, "__index")) == "table" then walk(path, mt.__index, depth + 1, ":") end
    walk(path, mt, depth + 1, ".")
  end
end

package.cpath = (arg[1] or "") .. ";" .. package.cpath
json = (pcall(require, "cjson"))
-- What makes names ambiguous: aliases, cycles, data, long keys.
sprintf, aa = string.format, { a = table.concat, cycle = _G }
_G[("long"):rep(20)] = { ("x"):rep(50), f = print }
big = {}
for i = 1, 20000 do big["key" .. i] = { n = i } end
setmetatable(_G, { __index = function() return nil end })
local count = function() end
debug.setmetatable(count, { __index = { arity = rawequal }, __len = rawget })

local co = coroutine.create(count)
io.write("L\t", address(co), "\n")
walk("", _G, 0, ".")
never[_G] = true
for k, v in pairs(package.loaded) do
  if type(v) == "function" then note(k, v) end
  if type(v) == "table" then walk(k, v, 1, ".") end
end
meta("file", io.stdout, 0)
meta("string", "", 0)
meta("function", count, 0)
collectgarbage()
collectgarbage("stop")
io.write(string.format("heap\t%d\nend\n", math.floor(collectgarbage("count") * 1024)))
io.flush()
io.read()
