-- SPDX-License-Identifier: Apache-2.0
-- Says of itself, with Lua's own debug library, which local variables and upvalues its functions have, and waits:
-- in a function, and in coroutines that have yielded. tests/live/test_dump.py compares `luaspy dump --locals` with it.
--
--     frame LINE                     innermost first; of a coroutine behind "coroutine ADDRESS"
--     local|upvalue NAME KIND TEXT
local module = { "one", "two", key = true }
local text, long = 'quoted "text"\n\ttab \\ \1 ', string.rep("long text ", 100)

local function show(value)
	local kind = type(value)
	if kind == "string" then
		return kind, (value:gsub("[^%w ]", function(c) return ("%%%02x"):format(c:byte()) end))
	elseif kind == "table" then
		local items = 0
		for _ in pairs(value) do items = items + 1 end
		return kind, tostring(value):match("0x%x+") .. " " .. items
	elseif kind == "userdata" then
		return kind, "-" -- a file's text has another address
	elseif kind == "function" or kind == "thread" then
		return kind, tostring(value):match("0x%x+") or "-"
	end
	return kind, tostring(value)
end

-- debug's functions take a coroutine in front of the level.
local function describe(co, level)
	while true do
		local info
		if co then info = debug.getinfo(co, level, "Slf") else info = debug.getinfo(level + 1, "Slf") end
		if not info then return end
		if info.what ~= "C" then
			print("frame", info.currentline)
			local i = 1
			while true do
				local name, value
				if co then
					name, value = debug.getlocal(co, level, i)
				else
					name, value = debug.getlocal(level + 1, i)
				end
				if not name then break end
				if name:sub(1, 1) ~= "(" then print("local", name, show(value)) end
				i = i + 1
			end
			i = 1
			while true do
				local name, value = debug.getupvalue(info.func, i)
				if not name then break end
				print("upvalue", name, show(value))
				i = i + 1
			end
		end
		level = level + 1
	end
end

local suspended = {}

local function yielding(a, ...)
	local b, c = a * 2, { a }
	for i = 1, 3 do
		local inner = i .. text
		if i == 2 then coroutine.yield(inner, b, c, ...) end
	end
end

local function deeper(n, ...)
	local before = n + 0.5
	if n > 0 then
		local result = { deeper(n - 1, before, ...) }
		return result
	end
	yielding(before, n, ...)
	return before
end

local function wait(first, second, ...)
	local number, fraction, huge, negative = 42, 1 / 3, 1e100, -7
	local yes, no, nothing = true, false, nil
	local list, map, both = { 1, 2, 3 }, { x = 1, y = 2 }, { 1, nil, 3, z = { 4 } }
	local empty, file, fn, builtin = "", io.stdout, describe, print
	local co = suspended[1]
	for i, v in ipairs(list) do
		local square = v * v
		if i == 2 then
			describe(nil, 1) io.stdout:write("ready\n") io.stdout:flush() io.read()
		end
	end
	return first, second, number, fraction, huge, negative, yes, no, nothing, map, both, empty, file, fn, builtin, co,
		module, long
end

for i = 1, 3 do
	suspended[i] = coroutine.create(i == 3 and yielding or deeper)
	coroutine.resume(suspended[i], i, "more", {})
end
for i = 1, 3 do
	print("coroutine", (tostring(suspended[i]):match("0x%x+")))
	describe(suspended[i], 0)
end
print("main", "-")
wait("argument", { 1 }, "extra", 2)
