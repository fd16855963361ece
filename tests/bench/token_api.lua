-- The load of report.lua, as a program sends it that requests tokens.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "report.lua")
wrk.headers["Sidecar-Request"] = "true"
