// What the sanitizers' builds run with, in every executable, so that no environment is needed.
// Variables of the sanitizers' own names (ASAN_OPTIONS, ...) still override it.

#include <cstdlib>

extern "C" {

// Undefined behaviour ends a test, as a bad access does.
const char* __ubsan_default_options() { return "halt_on_error=1:print_stacktrace=1"; }

// MPI's libraries have no frame pointers: that a leak is theirs shows by slow unwinding alone.
const char* __asan_default_options() {
  return std::getenv("OMPI_COMM_WORLD_RANK") == nullptr
             ? "detect_stack_use_after_return=1"
             : "detect_stack_use_after_return=1:fast_unwind_on_malloc=0";
}

const char* __lsan_default_options() { return "print_suppressions=0"; }

const char* __tsan_default_options() { return "halt_on_error=1:second_deadlock_stack=1"; }

// Nothing is unloaded, as OpenMPI's modules are at its end: who leaked is known by a library's
// name.
int dlclose(void* /*library*/) { return 0; }

// Memory that OpenMPI and what it loads never give back: allocated once, at the start or the end of
// a process. The names are those of the libraries, so a leak of our own stays one.
const char* __lsan_default_suppressions() {
  return "leak:libmpi.so\n"
         "leak:libopen-pal.so\n"
         "leak:libopen-rte.so\n"
         "leak:libpmix.so\n"
         "leak:libhwloc.so\n"
         "leak:libevent_core\n"
         "leak:mca_\n"
         "leak:vasprintf\n";  // theirs alone: heed writes texts by fmt
}

// Libraries that were not built with the thread sanitizer: it does not see their locks.
const char* __tsan_default_suppressions() {
  return "called_from_lib:libmpi.so\n"
         "called_from_lib:libopen-pal.so\n"
         "called_from_lib:libopen-rte.so\n"
         "called_from_lib:libpmix.so\n"
         "race:libgomp.so\n";
}

}  // extern "C"
