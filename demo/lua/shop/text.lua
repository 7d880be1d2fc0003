-- SPDX-License-Identifier: Apache-2.0
-- Text: splitting into words, marking words, recognising bots; Lua patterns and PCRE side by side, as
-- real applications have them.
local _M = {}

function _M.words(str)
	local list = {}
	for word in string.gmatch(string.lower(str), "%a+") do
		list[#list + 1] = word
	end
	return list
end

local function escape_html(str)
	return (string.gsub(str, "[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;",
		["\""] = "&quot;" }))
end

_M.escape_html = escape_html

function _M.highlight(str, word)
	local marked = ngx.re.gsub(escape_html(str), "\\b(" .. word .. ")\\b", function(match)
		return "[" .. string.upper(match[1]) .. "]"
	end, "jo")
	return marked
end

function _M.is_bot(agent)
	return ngx.re.match(agent, [[(?:bot|crawler|spider)(?:/(\d+)\.(\d+))?]], "ijo") ~= nil
end

return _M
