-- SPDX-License-Identifier: Apache-2.0-- Lines that end with CR, and some with LF CR or an empty line of both.function first() --> firstendlocal second = function() --> second
	return "a \b"
end

local function third() end --> third
