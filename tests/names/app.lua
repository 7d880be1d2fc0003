-- SPDX-License-Identifier: Apache-2.0
-- An application of the ordinary kind: JSON, templates, routes, a cache.
local json, template, router, cache, util = {}, {}, {}, {}, {}

do
	local escape_char_map = { ["\\"] = "\\", ["\""] = "\"", ["\b"] = "b", ["\n"] = "n" }
	local function escape_char(c) return "\\" .. (escape_char_map[c] or string.format("u%04x", c:byte())) end --> escape_char
	local encode
	local function encode_nil() return "null" end --> encode_nil
	local function encode_table(val, stack) --> encode_table
		local res = {}
		stack = stack or {}
		if stack[val] then error("circular reference") end
		stack[val] = true
		if rawget(val, 1) ~= nil or next(val) == nil then
			for i, v in ipairs(val) do table.insert(res, encode(v, stack)) end
			stack[val] = nil
			return "[" .. table.concat(res, ",") .. "]"
		else
			for k, v in pairs(val) do
				table.insert(res, encode(k, stack) .. ":" .. encode(v, stack))
			end
			stack[val] = nil
			return "{" .. table.concat(res, ",") .. "}"
		end
	end
	local type_func_map = {
		["nil"] = encode_nil,
		["table"] = encode_table,
		["string"] = function(val) return '"' .. val:gsub('[%c"\\]', escape_char) .. '"' end, --> type_func_map.string
		["number"] = function(val) --> type_func_map.number
			if val ~= val then error("unexpected number value") end
			return string.format("%.14g", val)
		end,
		["boolean"] = tostring,
		["function"] = function() return "null" end, --> type_func_map["function"]
	}
	encode = function(val, stack) --> encode
		local f = type_func_map[type(val)]
		if f then return f(val, stack) end
		error("unexpected type '" .. type(val) .. "'")
	end
	function json.encode(val) return (encode(val)) end --> json.encode

	local function create_set(...) --> create_set
		local res = {}
		for i = 1, select("#", ...) do res[select(i, ...)] = true end
		return res
	end
	local space_chars = create_set(" ", "\t", "\r", "\n")
	local function next_char(str, idx, set, negate) --> next_char
		for i = idx, #str do if set[str:sub(i, i)] ~= negate then return i end end
		return #str + 1
	end
	local parse
	local char_func_map
	local function parse_array(str, i) --> parse_array
		local res, n = {}, 1
		i = i + 1
		while 1 do
			local x
			i = next_char(str, i, space_chars, true)
			if str:sub(i, i) == "]" then i = i + 1 break end
			x, i = parse(str, i)
			res[n] = x
			n = n + 1
		end
		return res, i
	end
	char_func_map = { ["["] = parse_array, ['"'] = function(str, i) return str, i end } --> char_func_map["""]
	parse = function(str, idx) local f = char_func_map[str:sub(idx, idx)] if f then return f(str, idx) end end --> parse
	function json.decode(str) --> json.decode
		if type(str) ~= "string" then error("expected argument of type string, got " .. type(str)) end
		return (parse(str, next_char(str, 1, space_chars, true)))
	end
end

function template.compile(source) --> template.compile
	local parts = { "return function(_ENV, echo) " }
	source:gsub("([^{]*){{(.-)}}", function(text, code) --> <anonymous in template.compile, for source:gsub>
		parts[#parts + 1] = ("echo(%q) echo(%s)"):format(text, code)
	end)
	parts[#parts + 1] = " end"
	local make = assert(loadstring(table.concat(parts)))
	return setmetatable({ source = source }, {
		__call = function(_, env) --> __call
			local out = {}
			make()(env, function(piece) out[#out + 1] = tostring(piece) end) --> <anonymous in __call, for make()>
			return table.concat(out)
		end,
	})
end
template.filters = {
	upper = string.upper,
	escape = function(s) --> template.filters.escape
		return (s:gsub("[&<>\"']", { ["&"] = "&amp;", ["<"] = "&lt;" }))
	end,
	default = function(s, d) return s ~= nil and s or d end, --> template.filters.default
	date = function(time, format) return os.date(format or "%F", time) end, --> template.filters.date
}

local Router = { routes = {} }
Router.__index = Router
function router.new() return setmetatable({ routes = {}, middleware = {} }, Router) end --> router.new
for _, verb in ipairs { "get", "post", "put", "delete" } do
	Router[verb] = function(self, path, handler) return self:add(verb:upper(), path, handler) end --> Router[?]
end
function Router:add(verb, path, handler) --> Router:add
	local names = {}
	local pattern = path:gsub(":(%w+)", function(name) names[#names + 1] = name return "([^/]+)" end) --> <anonymous in Router:add, for path:gsub>
	self.routes[#self.routes + 1] = { verb = verb, pattern = "^" .. pattern .. "$", names = names, handler = handler }
	return self
end
function Router:use(f) self.middleware[#self.middleware + 1] = f return self end --> Router:use
function Router:dispatch(req, res) --> Router:dispatch
	local i = 0
	local function step() --> step
		i = i + 1
		local f = self.middleware[i]
		if f then return f(req, res, step) end
		for _, route in ipairs(self.routes) do
			local matches = { req.path:match(route.pattern) }
			if route.verb == req.verb and #matches > 0 then
				for k, name in ipairs(route.names) do req.params[name] = matches[k] end
				return route.handler(req, res)
			end
		end
		return res:status(404)
	end
	return step()
end

local app = router.new()
app:use(function(req, res, step) --> <anonymous in main chunk, for app:use>
	local start = os.clock()
	step()
	res.headers["X-Time"] = os.clock() - start
end)
app:get("/users/:id", function(req, res) --> <anonymous in main chunk, for app:get>
	local user = cache.fetch("user:" .. req.params.id, 60, function() --> <anonymous in main chunk, for cache.fetch>
		return util.retry(3, function() return db:find("users", req.params.id) end) --> <anonymous in main chunk, for util.retry>
	end)
	res:send(json.encode(user))
end):post("/users", function(req, res) --> <anonymous in main chunk, for app:get():post>
	local user = json.decode(req.body)
	db:transaction(function(tx) tx:insert("users", user) end) --> <anonymous in main chunk, for db:transaction>
	res:status(201)
end)

do
	local store, count = {}, 0
	local function expired(entry, now) return entry.expires and entry.expires <= now end --> expired
	local function evict() --> evict
		local oldest
		for k, entry in pairs(store) do
			if not oldest or entry.used < store[oldest].used then oldest = k end
		end
		store[oldest], count = nil, count - 1
	end
	function cache.get(key) --> cache.get
		local entry = store[key]
		if not entry or expired(entry, os.time()) then return nil end
		entry.used = os.time()
		return entry.value
	end
	function cache.set(key, value, ttl) --> cache.set
		if count > 1000 then evict() end
		store[key] = { value = value, used = os.time(), expires = ttl and os.time() + ttl }
		count = count + 1
	end
	function cache.fetch(key, ttl, compute) --> cache.fetch
		local value = cache.get(key)
		if value == nil then
			value = compute(key)
			cache.set(key, value, ttl)
		end
		return value
	end
	cache.stats, cache.clear = function() return count end, function() store, count = {}, 0 end --> cache.stats | cache.clear
end

function util.retry(times, f, ...) --> util.retry
	local last
	for i = 1, times do
		local ok, result = pcall(f, ...)
		if ok then return result end
		last = result
	end
	error(last)
end
util.map = function(list, f) local out = {} for i, v in ipairs(list) do out[i] = f(v) end return out end --> util.map
util.filter = function(list, f) --> util.filter
	local out = {}
	for _, v in ipairs(list) do if f(v) then out[#out + 1] = v end end
	return out
end
util.reduce = function(list, f, init) --> util.reduce
	local acc = init
	for _, v in ipairs(list) do acc = f(acc, v) end
	return acc
end
util.sum = function(list) return util.reduce(list, function(a, b) return a + b end, 0) end --> util.sum | <anonymous in util.sum, for util.reduce>
util.pipe = function(...) --> util.pipe
	local fs = { ... }
	return function(x) return util.reduce(fs, function(acc, f) return f(acc) end, x) end --> <anonymous in util.pipe, returned> | <anonymous in util.pipe, for util.reduce>
end
util.lazy = function(f) --> util.lazy
	local value, done
	return function() if not done then value, done = f(), true end return value end --> <anonymous in util.lazy, returned>
end
local sorted = util.pipe(
	function(t) return util.map(t, function(v) return v * 2 end) end, --> <anonymous in main chunk, for util.pipe> | <anonymous in main chunk, for util.map>
	function(t) table.sort(t, function(a, b) return a > b end) return t end --> <anonymous in main chunk, for util.pipe> | <anonymous in main chunk, for table.sort>
)
local codec = {
	encode = json.encode,
	decode = function(s) return json.decode(s) end, --> codec.decode
	stream = function(read) --> codec.stream
		return coroutine.wrap(function() --> <anonymous in codec.stream, for coroutine.wrap>
			for line in read do coroutine.yield(json.decode(line)) end
		end)
	end,
}
return { app = app, codec = codec, sorted = sorted, main = function(...) return app:dispatch(...) end } --> main
