#include "tools/tokenizer_bench.h"

#include <fmt/format.h>

#include <memory>
#include <string_view>

#include "core/files.h"
#include "core/parallel.h"
#include "core/readable.h"
#include "data/tokenizer.h"
#include "tools/device_timing.h"
#include "tools/text.h"

namespace heed::tools {
namespace {

struct TokenizerBench {
  std::string tokenizer, text;
  bool lines = false;
  double seconds = 2.0;
  bool json = false;
};

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    lines.push_back(text.substr(at, end - at));
    at = end;
  }
  return lines;
}

void bench_tokenizer(const TokenizerBench& b) {
  const std::unique_ptr<data::Tokenizer> tokenizer = data::load_tokenizer(b.tokenizer);
  const std::string text = read_file(b.text);
  if (text.empty()) fail_request("bench tokenizer: '{}' is empty", b.text);
  const std::vector<std::string_view> pieces =
      b.lines ? lines_of(text) : std::vector<std::string_view>{text};
  std::vector<data::TokenId> ids;
  const double encoding = best_seconds(b.seconds, [&] {
    ids.clear();
    for (const std::string_view piece : pieces) tokenizer->encode(piece, ids);
  });
  const double decoding = best_seconds(0.5 * b.seconds, [&] { tokenizer->decode(ids); });
  const auto rate = [&](double seconds) {
    return 1e-6 * static_cast<double>(text.size()) / seconds;
  };
  const double bytes_per_token = static_cast<double>(text.size()) / static_cast<double>(ids.size());
  if (b.json) {
    return print_json(Config::Map{{"type", tokenizer->type()},
                                  {"vocab_size", tokenizer->vocab_size()},
                                  {"bytes", std::ssize(text)},
                                  {"texts", std::ssize(pieces)},
                                  {"tokens", std::ssize(ids)},
                                  {"encode_mb_per_second", rate(encoding)},
                                  {"decode_mb_per_second", rate(decoding)}});
  }
  fmt::print("{} of {}, one thread: {} in {} {}, {} tokens ({:.2f} bytes a token)\n",
             tokenizer->type(), grouped(tokenizer->vocab_size()), format_bytes(std::ssize(text)),
             grouped(std::ssize(pieces)), pieces.size() == 1 ? "text" : "lines",
             grouped(std::ssize(ids)), bytes_per_token);
  Table table;
  table.row({"encoding", fmt::format("{:.1f} MB/s ({} tokens/s)", rate(encoding),
                                     compact(static_cast<double>(ids.size()) / encoding))});
  table.row({"decoding", fmt::format("{:.1f} MB/s", rate(decoding))});
  fmt::print("{}", table.to_string());
}

}  // namespace

void add_bench_tokenizer(CLI::App& bench) {
  auto arguments = std::make_shared<TokenizerBench>();
  TokenizerBench& b = *arguments;
  CLI::App* command =
      add_command(bench, "tokenizer", "measures how fast a tokenizer encodes a text");
  details(command,
          "Encodes the text again and again in one thread, and decodes it; the fastest time "
          "counts. tests/interop/tokenizer_bench.py does the same with the `tokenizers` package "
          "in the same run.");
  positional(command, "TOKENIZER", b.tokenizer,
             "a tokenizer.json, a .model, or a folder that holds a tokenizer")
      ->required();
  positional(command, "TEXT", b.text, "a text file")->required();
  command->add_flag("--lines", b.lines, "every line is a text of its own");
  option(command, "--seconds", "S", b.seconds, "to repeat it for")->check(CLI::Range(0.0, 3600.0));
  command->add_flag("--json", b.json, "print one JSON document");
  examples(command, {{"heed bench tokenizer gpt2/tokenizer.json shakespeare.txt", ""}});
  command->callback([arguments] { bench_tokenizer(*arguments); });
}

}  // namespace heed::tools
