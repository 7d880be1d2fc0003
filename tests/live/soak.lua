-- SPDX-License-Identifier: Apache-2.0
-- Makes chunks all the time, each with functions on lines of its own, runs them, drops them, flushes all
-- traces every 50 ms and collects garbage by force. Logs each chunk before it runs: its name, and for each
-- function its first and last line.
local log = assert(io.open(arg[1], "w"))
local clock = os.clock
local flushed, number = clock(), 0

while true do
	number = number + 1
	local before = number % 61
	local lines = {}
	for i = 1, before do lines[i] = "" end
	local function add(text) lines[#lines + 1] = text return #lines end
	local one = add("local function one(t, n)")
	add("local s = n")
	for i = 1, number % 7 do add("t[" .. i .. "] = s + " .. i) end
	add("s = s + #t")
	add("return s")
	local one_end = add("end")
	local two = add("local function two(t, n)")
	add("local s = 0")
	add("for i = 1, n do")
	add("s = one(t, s % 9)")
	if number % 3 == 0 then add("t[i % 16 + 1] = { s }") end
	add("end")
	add("return s")
	local two_end = add("end")
	add("return function(t) local s = two(t, " .. 200 + number % 300 .. ")")
	add("return s")
	local three, three_end = #lines - 1, add("end")
	local name = "=soak_" .. number
	log:write(name:sub(2), " ", 0, " ", 0, " ", one, " ", one_end, " ", two, " ", two_end, " ", three, " ", three_end, "\n")
	log:flush()
	local run = assert(loadstring(table.concat(lines, "\n"), name))()
	for _ = 1, 30 do run({}) end
	if number % 10 == 0 then collectgarbage() end
	if clock() - flushed > 0.05 then
		if jit then jit.flush() end
		flushed = clock()
	end
end
