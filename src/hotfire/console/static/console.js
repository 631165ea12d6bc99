// What every page gets besides its markup. Without it all pages work, but do not change by themselves.
import { follow } from "./live.js";
import { filterAsTyped } from "./filters.js";
import { copyButtons } from "./copy.js";
import { followLog } from "./logs.js";

follow();
filterAsTyped();
copyButtons();
followLog();
