-- SPDX-License-Identifier: Apache-2.0
-- A module as they are written for OpenResty: local copies of globals, _M, _VERSION, mt.
local ngx = ngx
local type, tonumber, tostring, pairs, ipairs = type, tonumber, tostring, pairs, ipairs
local setmetatable, rawget, pcall, error = setmetatable, rawget, pcall, error
local tcp = ngx.socket.tcp
local sub, byte, find, gsub = string.sub, string.byte, string.find, string.gsub
local concat, insert = table.concat, table.insert
local null = ngx.null

local ok, new_tab = pcall(require, "table.new")
if not ok or type(new_tab) ~= "function" then
	new_tab = function(narr, nrec) return {} end --> new_tab
end

local _M = new_tab(0, 54)
_M._VERSION = '0.26'

local common_cmds = { "get", "set", "mget", "mset", "del", "incr", "decr" }
local sub_commands = { "subscribe", "psubscribe" }
local unsub_commands = { "unsubscribe", "punsubscribe" }
local mt = { __index = _M }

function _M.new(self) --> _M.new
	local sock, err = tcp()
	if not sock then
		return nil, err
	end
	return setmetatable({ _sock = sock, _subscribed = false }, mt)
end

function _M.set_timeout(self, timeout) --> _M.set_timeout
	local sock = rawget(self, "_sock")
	if not sock then
		error("not initialized", 2)
		return
	end
	sock:settimeout(timeout)
end

function _M.connect(self, host, port_or_opts, opts) --> _M.connect
	local sock = rawget(self, "_sock")
	local unix
	do
		local typ = type(host)
		if typ ~= "string" then
			error("bad argument #1 host: string expected, got " .. typ, 2)
		end
		if sub(host, 1, 5) == "unix:" then
			unix = true
		end
	end
	self._subscribed = false
	local ok, err
	if unix then
		ok, err = sock:connect(host, port_or_opts)
	else
		ok, err = sock:connect(host, port_or_opts, opts)
	end
	if not ok then return ok, err end
	return ok, err
end

local function check_subscribed(self, res) --> check_subscribed
	if type(res) == "table" and (res[1] == "unsubscribe" or res[1] == "punsubscribe") and res[3] == 0 then
		self._subscribed = false
	end
end

local function _read_reply(self, sock) --> _read_reply
	local line, err = sock:receive()
	if not line then
		return nil, err
	end
	local prefix = byte(line)
	if prefix == 36 then -- char '$'
		local size = tonumber(sub(line, 2))
		if size < 0 then
			return null
		end
		return sock:receive(size)
	elseif prefix == 42 then -- char '*'
		local n = tonumber(sub(line, 2))
		local vals = new_tab(n, 0)
		local nvals = 0
		for i = 1, n do
			local res, err = _read_reply(self, sock)
			if res then
				nvals = nvals + 1
				vals[nvals] = res
			elseif res == nil then
				return nil, err
			else
				nvals = nvals + 1
				vals[nvals] = { false, err }
			end
		end
		return vals
	end
	return nil, "unknown prefix: \"" .. tostring(prefix) .. "\""
end

local function _gen_req(args) --> _gen_req
	local nargs = #args
	local req = new_tab(nargs * 5 + 1, 0)
	req[1] = "*" .. nargs .. "\r\n"
	local nbits = 2
	for i = 1, nargs do
		local arg = args[i]
		if type(arg) ~= "string" then arg = tostring(arg) end
		req[nbits] = "$"
		req[nbits + 1] = #arg
		req[nbits + 2] = "\r\n"
		req[nbits + 3] = arg
		req[nbits + 4] = "\r\n"
		nbits = nbits + 5
	end
	return req
end

local function _do_cmd(self, ...) --> _do_cmd
	local args = { ... }
	local sock = rawget(self, "_sock")
	local req = _gen_req(args)
	local reqs = rawget(self, "_reqs")
	if reqs then
		reqs[#reqs + 1] = req
		return
	end
	local bytes, err = sock:send(req)
	if not bytes then return nil, err end
	return _read_reply(self, sock)
end

for i = 1, #common_cmds do
	local cmd = common_cmds[i]
	_M[cmd] = function(self, ...) --> _M[?]
		return _do_cmd(self, cmd, ...)
	end
end

for i = 1, #sub_commands do
	local cmd = sub_commands[i]
	_M[cmd] =
		function(self, ...) --> _M[?]
			if not rawget(self, "_subscribed") then
				self._subscribed = true
			end
			return _do_cmd(self, cmd, ...)
		end
end

for i = 1, #unsub_commands do
	local cmd = unsub_commands[i]
	_M[cmd] = function(self, ...) local res = _do_cmd(self, cmd, ...) check_subscribed(self, res) return res end --> _M[?]
end

function _M.hmset(self, hashname, ...) --> _M.hmset
	if select('#', ...) == 1 then
		local t = select(1, ...)
		local n = 0
		for k, v in pairs(t) do n = n + 2 end
		local array = new_tab(n, 0)
		local i = 0
		for k, v in pairs(t) do
			array[i + 1] = k
			array[i + 2] = v
			i = i + 2
		end
		return _do_cmd(self, "hmset", hashname, unpack(array))
	end
	return _do_cmd(self, "hmset", hashname, ...)
end

function _M.init_pipeline(self, n) --> _M.init_pipeline
	self._reqs = new_tab(n or 4, 0)
end

function _M.commit_pipeline(self) --> _M.commit_pipeline
	local reqs = rawget(self, "_reqs")
	if not reqs then return nil, "no pipeline" end
	self._reqs = nil
	local sock = rawget(self, "_sock")
	local bytes, err = sock:send(reqs)
	if not bytes then return nil, err end
	local vals = new_tab(#reqs, 0)
	for i = 1, #reqs do vals[i] = _read_reply(self, sock) end
	return vals
end

_M.array_to_hash = function(self, t) --> _M.array_to_hash
	local n = #t
	local h = new_tab(0, n / 2)
	for i = 1, n, 2 do h[t[i]] = t[i + 1] end
	return h
end

-- Calls a command that is not in the list.
setmetatable(_M, { __index = function(self, cmd) --> __index
	local method =
		function(self, ...) --> method
			return _do_cmd(self, cmd, ...)
		end
	_M[cmd] = method -- cache the method
	return method
end })

-- A timer that closes what is idle.
local function start_timer(premature, pool) --> start_timer
	if premature then return end
	local ok, err = ngx.timer.at(5, function(premature_again) --> <anonymous in start_timer, for ngx.timer.at>
		if premature_again then return end
		for _, conn in ipairs(pool) do
			local ok = pcall(function() conn:close() end) --> <anonymous in start_timer, for pcall>
			if not ok then ngx.log(ngx.ERR, "close failed") end
		end
		start_timer(false, pool)
	end)
	if not ok then ngx.log(ngx.ERR, "no timer: ", err) end
end
_M.start_timer = start_timer

return _M
