-- SPDX-License-Identifier: Apache-2.0
-- The products: made up once, with an index from words to products. Searching ranks and sorts,
-- exporting goes through a coroutine.
local text = require("shop.text")

local _M = {}

local products = {}
local index = {}

local adjectives = { "red", "small", "quiet", "solid", "bright", "folding", "wooden", "heavy" }
local nouns = { "lamp", "table", "kettle", "chair", "shelf", "clock", "basket", "mirror", "stool" }

-- A small generator of its own: each run has the same products.
local function sequence(seed)
	return function(n)
		seed = (seed * 1103515245 + 12345) % 2147483648
		return math.floor(seed / 65536) % n + 1
	end
end

local function index_words(product)
	for _, word in ipairs(product.words) do
		local entry = index[word] or {}
		entry[#entry + 1] = product
		index[word] = entry
	end
end

function _M.fill(count)
	local pick = sequence(7)
	for id = 1, count do
		local name = adjectives[pick(#adjectives)] .. " " .. nouns[pick(#nouns)]
		local parts = {}
		for i = 1, 12 do
			parts[i] = adjectives[pick(#adjectives)] .. " " .. nouns[pick(#nouns)]
		end
		local product = {
			id = id,
			name = name,
			cents = 500 + pick(9500),
			description = name .. ": " .. table.concat(parts, ", "),
			words = text.words(name),
		}
		products[id] = product
		index_words(product)
	end
end

function _M.find(id)
	return products[id]
end

local function rank(words)
	local scores = {}
	for _, word in ipairs(words) do
		for _, product in ipairs(index[word] or {}) do
			scores[product] = (scores[product] or 0) + 1
		end
	end
	return scores
end

function _M.search(words, limit)
	local scores = rank(words)
	local found = {}
	for product in pairs(scores) do
		found[#found + 1] = product
	end
	table.sort(found, function(a, b)
		if scores[a] ~= scores[b] then
			return scores[a] > scores[b]
		end
		return a.cents < b.cents
	end)
	for i = #found, limit + 1, -1 do
		found[i] = nil
	end
	return found
end

-- An iterator over lines of comma-separated values.
function _M.export()
	return coroutine.wrap(function()
		for i = 1, 200 do
			local product = products[i]
			local name = string.gsub(product.name, "%a+", function(word)
				return word:sub(1, 1):upper() .. word:sub(2)
			end)
			coroutine.yield(string.format("%d,%q,%.2f", product.id, name, product.cents / 100))
		end
	end)
end

return _M
