#pragma once

namespace weir {

// The first thing in main: takes back what a starter may have left behind that nobody expects. Standard
// input, output and error that are closed are made ones that fail, or the next file or connection would get
// their number and our output; signals that are ignored or blocked are so no longer: with SIGCHLD ignored no
// child's end could be waited for. SIGPIPE, SIGHUP and SIGINT stay ignored where they are, as `nohup` and
// shells want.
void PrepareProcess();

}  // namespace weir
