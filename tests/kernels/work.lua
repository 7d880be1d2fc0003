-- SPDX-License-Identifier: Apache-2.0
-- What a guest's targets run: `compute`, three quarters of it in `heavy` and one quarter in `light`,
-- `serve`, the same from a function whose name only this file tells, `read`, most of it in the
-- kernel, or `wait`, most of it not on a CPU. nginx requires it, and calls `compute` by itself.
-- tests/kernels/run looks for the lines of the two calls.

local total = 0

local function heavy(n)
	for i = 1, 3 * n do
		total = total + i % 7
	end
end

local function light(n)
	for i = 1, n do
		total = total + i % 7
	end
end

-- Of another length each time, so that it does not keep in step with the sampling.
local function compute()
	local n = math.random(1000, 5000)
	heavy(n)
	light(n)
end

-- Called by C, so that no bytecode has its name.
local function served()
	compute()
end

local function serve()
	pcall(served)
end

local zeros = assert(io.open("/dev/zero"))

local function read_zeros()
	return #zeros:read(1048576)
end

local function wait()
	os.execute("sleep 0.5")
end

local steps = { compute = compute, serve = serve, read = read_zeros, wait = wait }
local step = steps[(...)]

if not step then
	return compute
end
while true do
	step()
end
