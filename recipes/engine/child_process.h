// Programs that run beside this one.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace heed::recipes {

/// A program that was started; killed when this object goes, and by the system (where it is Linux)
/// when this process dies in whatever way.
class ChildProcess {
 public:
  using Environment = std::vector<std::pair<std::string, std::string>>;

  /// Starts `command` (the first word is the program's path) with this process's environment
  /// changed by `environment`; its output and errors are appended to the file `log`.
  ChildProcess(const std::vector<std::string>& command, const Environment& environment,
               const std::string& log);
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  /// Whether it has ended; does not wait.
  bool ended();
  /// Its exit status once it has ended, 128 + n after signal n.
  int status() const { return status_; }
  /// Sends a signal; does nothing once it has ended.
  void send(int signal) const;

 private:
  void stop();

  pid_t id_ = -1;
  int status_ = -1;
};

}  // namespace heed::recipes
