-- SPDX-License-Identifier: Apache-2.0
-- Prices: arithmetic in plain loops, which LuaJIT compiles well.
local _M = {}

local function round_cents(value)
	return math.floor(value * 100 + 0.5) / 100
end

-- The lowest total at which `quantity` pieces can be bought, in packs of 1, 4 and 10.
local function best_packs(cents, quantity)
	local best = { [0] = 0 }
	for n = 1, quantity do
		local total = best[n - 1] + cents
		if n >= 4 and best[n - 4] + cents * 3.6 < total then
			total = best[n - 4] + cents * 3.6
		end
		if n >= 10 and best[n - 10] + cents * 8.5 < total then
			total = best[n - 10] + cents * 8.5
		end
		best[n] = total
	end
	return best[quantity]
end

function _M.offers(product)
	local offers = {}
	for i, quantity in ipairs({ 1, 5, 12, 50, 120 }) do
		local total = best_packs(product.cents, quantity)
		offers[i] = {
			quantity = quantity,
			price = string.format("%.2f", round_cents(total / 100)),
			kind = total < product.cents * quantity and "saving" or "normal",
		}
	end
	return offers
end

function _M.bill(order, catalog)
	local lines, sum = {}, 0
	for i, line in ipairs(order.lines) do
		local product = catalog.find(line.product)
		local total = best_packs(product.cents, line.quantity) / 100
		sum = sum + total
		lines[i] = { product = product.name, quantity = line.quantity, total = round_cents(total) }
	end
	table.sort(lines, function(a, b)
		return a.total > b.total
	end)
	return { customer = order.customer, lines = lines, sum = round_cents(sum) }
end

return _M
