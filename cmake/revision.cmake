# Writes OUTPUT (a source file with tools::revision) from the state of the sources in SOURCE; the
# file changes only when that does. Run at every build: cmake -DSOURCE=... -DOUTPUT=... -P this.
cmake_minimum_required(VERSION 3.25)
find_program(GIT git)
set(revision unknown)
if(GIT)
  execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse --short=12 HEAD
                  OUTPUT_VARIABLE head OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET
                  RESULT_VARIABLE failed)
  if(NOT failed)
    set(revision ${head})
    execute_process(COMMAND ${GIT} -C ${SOURCE} status --porcelain --untracked-files=no
                    OUTPUT_VARIABLE changes ERROR_QUIET)
    if(changes)
      string(APPEND revision ", changed")
    endif()
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT
"#include \"tools/revision.h\"

namespace heed::tools {

std::string revision() { return \"@revision@\"; }

}  // namespace heed::tools
")
