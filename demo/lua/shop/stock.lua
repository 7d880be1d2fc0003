-- SPDX-License-Identifier: Apache-2.0
-- How many pieces there are: a question to another service (here the same nginx) over a cosocket,
-- and that service's answer.
local _M = {}

local function read_response(socket)
	local length
	while true do
		local line, err = socket:receive("*l")
		if not line then
			return nil, err
		end
		if line == "" then
			break
		end
		length = tonumber(line:match("^[Cc]ontent%-[Ll]ength: (%d+)")) or length
	end
	return socket:receive(length or 0)
end

function _M.ask(id)
	local socket = ngx.socket.tcp()
	socket:settimeout(1000)
	local ok, err = socket:connect("127.0.0.1", tonumber(ngx.var.server_port))
	if not ok then
		return nil, err
	end
	socket:send({ "GET /internal/stock/", id, " HTTP/1.1\r\nHost: stock\r\n\r\n" })
	local body, read_err = read_response(socket)
	if not body then
		socket:close()
		return nil, read_err
	end
	socket:setkeepalive(10000, 64)
	return body
end

-- A checksum stands for the other service's work; it is the same number for the same product.
local function checksum(str)
	local sum = 0
	for i = 1, #str do
		sum = (sum * 31 + str:byte(i)) % 65521
	end
	return sum
end

function _M.answer()
	local id = ngx.var.uri:match("(%d+)$") or "0"
	local body = tostring(checksum(string.rep(id, 40)) % 100)
	ngx.header["Content-Length"] = #body
	ngx.print(body)
end

return _M
