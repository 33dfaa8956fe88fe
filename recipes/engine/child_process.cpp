#include "recipes/engine/child_process.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "core/error.h"

extern char** environ;

namespace heed::recipes {
namespace {

constexpr int kCannotStart = 127;

/// This process's environment with the changes, as exec takes it.
std::vector<std::string> changed_environment(const ChildProcess::Environment& changes) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    bool replaced = false;
    for (const auto& change : changes) replaced |= text.starts_with(change.first + "=");
    if (!replaced) result.push_back(text);
  }
  for (const auto& [name, value] : changes) result.push_back(fmt::format("{}={}", name, value));
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& command, const Environment& environment,
                           const std::string& log) {
  std::vector<std::string> arguments = command;
  std::vector<std::string> variables = changed_environment(environment);
  const std::vector<char*> argv = pointers(arguments), envp = pointers(variables);
  const pid_t parent = getpid();
  id_ = fork();
  HEED_CHECK(id_ >= 0, "{}: cannot be started: {}", command.front(), std::strerror(errno));
  if (id_ > 0) return;

    // The child: system calls only, since other threads may have held locks.
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  if (getppid() != parent) _exit(kCannotStart);
  const int output = open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0644);
  const int input = open("/dev/null", O_RDONLY);
  if (output < 0 || input < 0) _exit(kCannotStart);
  dup2(input, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  execve(argv[0], argv.data(), envp.data());
  _exit(kCannotStart);
}

ChildProcess::~ChildProcess() { stop(); }

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : id_(std::exchange(other.id_, -1)), status_(other.status_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    stop();
    id_ = std::exchange(other.id_, -1);
    status_ = other.status_;
  }
  return *this;
}

bool ChildProcess::ended() {
  if (id_ < 0) return true;
  int status = 0;
  const pid_t got = waitpid(id_, &status, WNOHANG);
  if (got == 0) return false;
  id_ = -1;
  status_ = got < 0             ? kCannotStart
            : WIFEXITED(status) ? WEXITSTATUS(status)
                                : 128 + WTERMSIG(status);
  return true;
}

void ChildProcess::send(int signal) const {
  if (id_ > 0) kill(id_, signal);
}

void ChildProcess::stop() {
  if (id_ < 0) return;
  kill(id_, SIGKILL);
  waitpid(id_, nullptr, 0);
  id_ = -1;
}

}  // namespace heed::recipes
