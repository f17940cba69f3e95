-- The health of a BackupSync or a CBRProject in Argo CD. It agrees with what Flux makes of the same conditions.
local hs = {status = "Progressing", message = "Waiting for the operator."}
if obj.status == nil or obj.status.conditions == nil then
  return hs
end
local found = {}
for _, condition in ipairs(obj.status.conditions) do
  found[condition.type] = condition
end
local ready = found["Ready"]
if ready == nil then
  return hs
end
hs.message = ready.message or ""
-- An edit that the operator has not seen yet: what it says speaks of an older manifest.
if obj.status.observedGeneration == nil or obj.status.observedGeneration < obj.metadata.generation then
  return hs
end
-- The backup of a BackupSync is in CBR, or is being imported, all the same: this is for a person to read, and no failure.
local drifted = found["Drifted"]
if drifted ~= nil and drifted.status == "True" then
  hs.message = hs.message .. " Drifted: " .. drifted.message
end
-- The import of a BackupSync did happen, and CBR does not show its backup usable any more: this too is for a person to read, and no failure of what
-- is declared.
local available = found["Available"]
if available ~= nil and available.status == "False" then
  hs.message = hs.message .. " Not available: " .. available.message
end
-- Imports of a CBRProject go on until the credentials end: this is for a person to read, and no failure.
local expiring = found["CredentialsExpiring"]
if expiring ~= nil and expiring.status == "True" then
  hs.message = hs.message .. " " .. expiring.message
end
if found["Stalled"] ~= nil and found["Stalled"].status == "True" then
  hs.status = "Degraded"
elseif found["Reconciling"] ~= nil and found["Reconciling"].status == "True" then
  hs.status = "Progressing"
elseif ready.status == "True" then
  hs.status = "Healthy"
elseif ready.status == "False" then
  hs.status = "Degraded"
elseif ready.reason == "Suspended" then
  hs.status = "Suspended"
end
return hs
