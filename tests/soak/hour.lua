-- SPDX-License-Identifier: Apache-2.0
-- A program whose chunks go on changing: for each line on stdin it compiles a chunk with a name of its own,
-- runs it for arg[2] ms of CPU time, and drops it. arg[1]: "text" (the chunk's name is its text, as with
-- loadstring(text)) or "file" (that of a file that is not there).
local kind, work = arg[1], tonumber(arg[2]) / 1000
local compile = loadstring or load
local number = 0

for _ in io.lines() do
	number = number + 1
	local text = "local function job_" .. number .. "(n) local s = 0 for i = 1, n do s = s + i % 7 end return s end\n"
		.. "return function() return job_" .. number .. "(" .. 1000 + number % 10 .. ") end"
	local run = assert(compile(text, kind == "file" and "@/srv/jobs/job_" .. number .. ".lua" or text))()
	local stop = os.clock() + work
	while os.clock() < stop do run() end
end
