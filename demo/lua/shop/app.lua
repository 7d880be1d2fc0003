-- SPDX-License-Identifier: Apache-2.0
-- The demo application's entry points, one per nginx phase, and its pages. The work itself is in the
-- other files: this one only says which page does what.
local cjson = require("cjson.safe")
local catalog = require("shop.catalog")
local pricing = require("shop.pricing")
local router = require("shop.router")
local stock = require("shop.stock")
local template = require("shop.template")
local text = require("shop.text")

local _M = {}

local routes = router.new()
local requests = 0
local latency_total = 0

local product_page = template.compile([[
<!doctype html><title>{{title}}</title>
<h1>{{title}}</h1>
<p>{{description}}</p>
<ul>{% for _, offer in ipairs(offers) do %}
<li class="{{offer.kind}}">{{offer.quantity}} for {{offer.price}}</li>{% end %}
</ul>
<p>In stock: {{in_stock}}</p>
]])

local function show_product(params)
	local product = catalog.find(tonumber(params.id))
	if not product then
		return 404, "no such product"
	end
	-- The other service is asked while this one computes.
	local waiting = ngx.thread.spawn(stock.ask, product.id)
	local offers = pricing.offers(product)
	local description = text.highlight(product.description, product.words[1])
	local _, in_stock = ngx.thread.wait(waiting)
	return 200, product_page({
		title = product.name,
		description = description,
		offers = offers,
		in_stock = in_stock or "unknown",
	})
end

local function search(params)
	local found = catalog.search(text.words(params.query), 20)
	local answer = {}
	for i, product in ipairs(found) do
		answer[i] = { id = product.id, name = product.name, url = "/product/" .. product.id }
	end
	return 200, cjson.encode({ query = params.query, results = answer })
end

local function place_order()
	ngx.req.read_body()
	local order, err = cjson.decode(ngx.req.get_body_data() or "")
	if not order then
		return 400, cjson.encode({ error = err })
	end
	local ok, bill = pcall(pricing.bill, order, catalog)
	if not ok then
		return 422, cjson.encode({ error = "bad order" })
	end
	return 200, cjson.encode(bill)
end

local function report()
	local rows = {}
	for line in catalog.export() do
		rows[#rows + 1] = line
	end
	return 200, table.concat(rows, "\n")
end

function _M.load()
	catalog.fill(2000)
	routes:add("GET", "/product/:id", show_product)
	routes:add("GET", "/search/:query", search)
	routes:add("GET", "/report", report)
	routes:add("POST", "/order", place_order)
end

function _M.access()
	local agent = ngx.var.http_user_agent or ""
	if text.is_bot(agent) then
		return ngx.exit(403)
	end
	ngx.ctx.started = ngx.now()
end

function _M.content()
	local handler, params = routes:match(ngx.req.get_method(), ngx.var.uri)
	if not handler then
		return ngx.exit(404)
	end
	local status, body = handler(params)
	ngx.status = status
	ngx.header["X-Request"] = requests
	ngx.print(body)
end

function _M.log()
	requests = requests + 1
	latency_total = latency_total + (ngx.now() - (ngx.ctx.started or ngx.now()))
end

-- Requests served by this worker.
function _M.served()
	return requests
end

return _M
