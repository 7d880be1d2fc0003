-- SPDX-License-Identifier: Apache-2.0
-- Routing: a tree of path segments, where ":name" matches any one segment.
local _M = {}
local mt = { __index = _M }

function _M.new()
	return setmetatable({ methods = {} }, mt)
end

local function split_path(path)
	local segments = {}
	for segment in string.gmatch(path, "[^/]+") do
		segments[#segments + 1] = segment
	end
	return segments
end

function _M:add(method, path, handler)
	local node = self.methods[method] or { children = {} }
	self.methods[method] = node
	for _, segment in ipairs(split_path(path)) do
		local name = segment:match("^:(.+)$")
		local key = name and ":" or segment
		node.children[key] = node.children[key] or { children = {}, name = name }
		node = node.children[key]
	end
	node.handler = handler
end

function _M:match(method, path)
	local node = self.methods[method]
	local params = {}
	if not node then
		return nil
	end
	for _, segment in ipairs(split_path(path)) do
		local child = node.children[segment]
		if not child then
			child = node.children[":"]
			if not child then
				return nil
			end
			params[child.name] = ngx.unescape_uri(segment)
		end
		node = child
	end
	return node.handler, params
end

return _M
