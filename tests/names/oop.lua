-- SPDX-License-Identifier: Apache-2.0
-- Ways to write classes.

-- Metatables by hand.
local Account = {}
Account.__index = Account
function Account.new(balance) return setmetatable({ balance = balance or 0 }, Account) end --> Account.new
function Account:deposit(v) self.balance = self.balance + v end --> Account:deposit
function Account:withdraw(v) --> Account:withdraw
	if v > self.balance then
		error("insufficient funds")
	end
	self.balance = self.balance - v
end
Account.__tostring = function(self) return "Account(" .. self.balance .. ")" end --> Account.__tostring
Account.__eq = function(a, b) return a.balance == b.balance end --> Account.__eq
Account["__lt"] = function(a, b) return a.balance < b.balance end --> Account.__lt
Account["__le"] = function(a, b) return a.balance <= b.balance end --> Account.__le

-- Inheritance.
local Special = setmetatable({}, { __index = Account })
Special.__index = Special
function Special.new(limit) local self = setmetatable(Account.new(), Special) self.limit = limit return self end --> Special.new
function Special:withdraw(v) --> Special:withdraw
	if v - self.balance >= self:get_limit() then error "insufficient funds" end
	Account.withdraw(self, v)
end
function Special:get_limit() return self.limit or 0 end --> Special:get_limit

-- A class library with a callable class table.
local class = setmetatable({}, {
	__call = function(cls, name, super) --> __call
		local klass = { name = name, super = super }
		klass.__index = klass
		if super then
			for k, v in pairs(super) do
				if k:find("^__") == nil then klass[k] = v end
			end
			setmetatable(klass, {
				__index = super,
				__call = function(c, ...) --> __call
					local object = setmetatable({}, c)
					if c.init then c.init(object, ...) end
					return object
				end,
				__tostring = function() return "class " .. name end, --> __tostring
			})
		end
		function klass.is_instance(object) --> klass.is_instance
			local m = getmetatable(object)
			while m do
				if m == klass then return true end
				m = m.super
			end
			return false
		end
		klass.extend = function(...) return cls(...) end --> klass.extend
		return klass
	end,
})

local Animal = class("Animal")
function Animal:init(name) self.name = name end --> Animal:init
function Animal:speak() return "..." end --> Animal:speak
function Animal.static.count() return 0 end --> Animal.static.count
function Animal.static.registry:add(a) self[#self + 1] = a end --> Animal.static.registry:add

local Dog = class("Dog", Animal)
Dog.speak = function(self) return "woof" end --> Dog.speak
Dog.tricks = {
	sit = function(dog) return dog.name .. " sits" end, --> Dog.tricks.sit
	roll = function(dog, times) --> Dog.tricks.roll
		local out = {}
		for i = 1, times or 1 do out[i] = dog.name .. " rolls" end
		return table.concat(out, "\n")
	end;
	["play dead"] = function(dog) return dog.name end, --> Dog.tricks["play dead"]
}

-- Objects from closures.
local function counter(start) --> counter
	local n = start or 0
	local self = {}
	function self.increment(by) n = n + (by or 1) return n end --> self.increment
	function self.reset() n = start or 0 end --> self.reset
	self.value = function() return n end --> self.value
	return self
end

local function queue() --> queue
	local first, last, items = 1, 0, {}
	return {
		push = function(_, item) last = last + 1 items[last] = item end, --> push
		pop = function() --> pop
			if first > last then return nil end
			local item = items[first]
			items[first] = nil
			first = first + 1
			return item
		end,
		size = function() return last - first + 1 end, --> size
		each = function(_, visit) --> each
			for i = first, last do visit(items[i]) end
		end,
	}
end

-- Mixins.
local Comparable = {
	max = function(a, b) return a > b and a or b end, --> Comparable.max
	min = function(a, b) return a < b and a or b end, --> Comparable.min
	mixin = {
		included = function(_, klass) klass.comparable = true end, --> Comparable.mixin.included
		deep = { deeper = { deepest = function() end } }, --> Comparable.mixin.deep.deeper.deepest
	},
}

-- Getters and setters.
local Point = {}
local getters = {
	length = function(p) return math.sqrt(p.x * p.x + p.y * p.y) end, --> getters.length
	angle = function(p) return math.atan2(p.y, p.x) end, --> getters.angle
}
local setters = { length = function(p, v) local f = v / p.length p.x, p.y = p.x * f, p.y * f end } --> setters.length
Point.__index = function(t, k) --> Point.__index
	local getter = getters[k]
	if getter then return getter(t) end
	return rawget(Point, k)
end
function Point.__newindex(t, k, v) --> Point.__newindex
	local setter = setters[k]
	if setter then setter(t, v) else rawset(t, k, v) end
end
function Point.__add(a, b) return Point(a.x + b.x, a.y + b.y) end --> Point.__add
function Point.__unm(a) return Point(-a.x, -a.y) end --> Point.__unm
function Point:__call(dx, dy) return Point(self.x + dx, self.y + dy) end --> Point:__call

-- A proxy that logs what is called.
local function trace(object, log) --> trace
	local proxy = newproxy and newproxy(true) or {}
	local meta = getmetatable(proxy) or {}
	meta.__index = function(_, key) --> meta.__index
		local value = object[key]
		if type(value) ~= "function" then return value end
		return function(...) --> <anonymous in meta.__index, returned>
			log(key, ...)
			return value(...)
		end
	end
	meta.__gc = function() log("gone") end --> meta.__gc
	return proxy
end

return { Account = Account, Special = Special, Dog = Dog, counter = counter, queue = queue, trace = trace,
	Comparable = Comparable, Point = Point, create = function(name, ...) --> create
		return ({ account = Account.new, special = Special.new })[name](...)
	end }
