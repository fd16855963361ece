-- Requests in turn for the first routes and tenants, as many as the arguments say. The fields of each differ from those
-- before, so that every head is parsed.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "report.lua")

local ROUND = 10000
local requests, sent = {}, 0

init = function(args)
  local routes, tenants = tonumber(args[1]), tonumber(args[2])
  for number = 0, ROUND - 1 do
    local fields = { ["X-Tenant"] = string.format("t%05d", number % tenants), ["X-Number"] = string.format("n%05d", number) }
    requests[number] = wrk.format("GET", string.format("/r%04d/200B", number % routes), fields)
  end
end

request = function()
  sent = sent + 1
  return requests[sent % ROUND]
end
