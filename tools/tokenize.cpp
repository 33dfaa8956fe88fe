// heed tokenize: a corpus as token ids, once, in shards that training maps into memory.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <memory>

#include "core/files.h"
#include "core/parallel.h"
#include "core/readable.h"
#include "data/bpe.h"
#include "data/byte_tokenizer.h"
#include "data/text_source.h"
#include "data/tokenize_corpus.h"
#include "data/unicode.h"
#include "tools/command.h"
#include "tools/metrics.h"
#include "tools/progress.h"

namespace heed::tools {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kMebi = 1048576.0;

struct TokenizeArguments {
  std::vector<std::string> inputs;
  std::string tokenizer, out;
  data::CorpusOptions corpus;
  int64_t vocab_size = 8192;
  double train_size = 16.0, shard_size = 64.0;  // MiB
  int64_t workers = 0;
  bool overwrite = false, check = false, json = false;
};

// Merges learnt from the corpus's beginning.
std::unique_ptr<data::Tokenizer> train_tokenizer(const TokenizeArguments& arguments) {
  data::CorpusReader reader(arguments.corpus);
  const auto most = static_cast<int64_t>(arguments.train_size * kMebi);
  std::vector<std::string> texts;
  data::CorpusDocument document;
  for (int64_t bytes = 0; bytes < most && reader.next(document);) {
    if (static_cast<int64_t>(document.text.size()) > most - bytes) {
      document.text.resize(
          data::floor_to_character(document.text, static_cast<size_t>(most - bytes)));
    }
    bytes += std::max<int64_t>(static_cast<int64_t>(document.text.size()), 1);
    texts.push_back(std::move(document.text));
  }
  return std::make_unique<data::BpeTokenizer>(data::train_bpe(
      {texts.begin(), texts.end()}, {.vocab_size = arguments.vocab_size, .min_frequency = 2}));
}

std::unique_ptr<data::Tokenizer> make_tokenizer(const TokenizeArguments& arguments) {
  if (arguments.tokenizer == "bytes") return std::make_unique<data::ByteTokenizer>();
  if (arguments.tokenizer == "bpe") {
    // A run that goes on with another's shards keeps its merges.
    const std::string before =
        (std::filesystem::path(arguments.out) / data::kShardTokenizer).string();
    return std::filesystem::exists(before) && !arguments.overwrite ? data::load_tokenizer(before)
                                                                   : train_tokenizer(arguments);
  }
  if (!std::filesystem::exists(data::expand_path(arguments.tokenizer))) {
    fail_request(
        "--tokenizer: there is no file or folder '{}' (and the kinds that need none are "
        "bytes and bpe)",
        arguments.tokenizer);
  }
  return data::load_tokenizer(data::expand_path(arguments.tokenizer));
}

void check_folder(const TokenizeArguments& arguments) {
  const data::TokenFolder folder = data::open_token_folder(arguments.out);
  const std::vector<std::string> damaged = data::damaged_shards(folder);
  if (arguments.json) {
    print_json(Config::Map{{"shards", static_cast<int64_t>(folder.shards.size())},
                           {"damaged", Config::List(damaged.begin(), damaged.end())}});
  }
  if (!damaged.empty()) {
    fail(
        "{}: its content is not what was written ({} of {} shards); remove what is damaged and run "
        "the command that made it once more",
        damaged[0], damaged.size(), folder.shards.size());
  }
  if (!arguments.json) {
    fmt::print("{}: {} shards, {} tokens: whole\n", folder.path,
               grouped(static_cast<int64_t>(folder.shards.size())), grouped(folder.tokens.size()));
  }
}

Config to_config(const data::Tokenized& made, const data::Tokenizer& tokenizer,
                 const std::string& folder, double seconds) {
  Config skipped = Config::list();
  for (const std::string& file : made.skipped) skipped.append(file);
  return Config::Map{{"folder", folder},
                     {"tokenizer", tokenizer.type()},
                     {"vocab_size", tokenizer.vocab_size()},
                     {"shards", static_cast<int64_t>(made.shards.size())},
                     {"kept", made.kept},
                     {"tokens", made.tokens},
                     {"documents", made.documents},
                     {"text_bytes", made.text_bytes},
                     {"skipped", skipped},
                     {"seconds", seconds}};
}

void tokenize(const TokenizeArguments& given) {
  if (given.check) return check_folder(given);
  TokenizeArguments arguments = given;
  if (arguments.inputs.empty()) fail_request("heed tokenize: INPUT is missing");
  if (arguments.tokenizer.empty()) {
    fail_request(
        "heed tokenize: --tokenizer is missing: a tokenizer.json, bytes, or bpe to learn "
        "one from the input");
  }
  arguments.corpus.files = arguments.inputs;
  // Through the option reader, so that values are checked as in a recipe.
  Config checked = write_options(arguments.corpus);
  data::CorpusOptions corpus = read_options<data::CorpusOptions>(checked, "heed tokenize");
  corpus.files = arguments.inputs;
  const auto start = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  const std::unique_ptr<data::Tokenizer> tokenizer = make_tokenizer(arguments);
  data::TokenizeOptions options;
  options.corpus = corpus;
  options.shard_bytes = std::max<int64_t>(static_cast<int64_t>(arguments.shard_size * kMebi), 1);
  options.workers = static_cast<int>(arguments.workers > 0 ? arguments.workers : thread_count());
  options.overwrite = arguments.overwrite;
  if (arguments.tokenizer == "bpe") {
    options.tokenizer_made =
        fmt::format("bpe of {} from {} MiB", arguments.vocab_size, arguments.train_size);
  }
  data::Tokenized made;
  {
    Progress progress(stderr);
    made = data::tokenize_corpus(
        options, *tokenizer, arguments.out, [&](const data::TokenizeProgress& p) {
          const double share =
              p.bytes == 0 ? 1.0 : static_cast<double>(p.bytes_read) / static_cast<double>(p.bytes);
          const double left = share > 0.0 ? seconds() / share - seconds() : 0.0;
          // Shards are still being written when all has been read.
          const int64_t done = p.finished ? p.bytes : std::min(p.bytes_read, p.bytes - 1);
          progress.update(
              "tokenized", done, p.bytes,
              fmt::format("bytes  {} shards  {} tokens  {} tokens/s  {} left", p.shards,
                          compact(static_cast<double>(p.tokens)),
                          compact(static_cast<double>(p.tokens) / seconds()), duration_text(left)));
        });
  }
  for (const std::string& file : made.skipped) print_warning(file + ": no text, passed over");
  if (arguments.json) return print_json(to_config(made, *tokenizer, arguments.out, seconds()));
  fmt::print(
      "{}: {} tokens of {} documents ({} of text, {:.2f} bytes a token) in {} shards{}, "
      "tokenizer {} of {}, in {}\n",
      arguments.out, grouped(made.tokens), grouped(made.documents), format_bytes(made.text_bytes),
      static_cast<double>(made.text_bytes) / static_cast<double>(std::max<int64_t>(made.tokens, 1)),
      made.shards.size(), made.kept > 0 ? fmt::format(" ({} were there already)", made.kept) : "",
      tokenizer->type(), grouped(tokenizer->vocab_size()), duration_text(seconds()));
}

}  // namespace

void add_tokenize(CLI::App& heed) {
  auto arguments = std::make_shared<TokenizeArguments>();
  CLI::App* command = add_command(
      heed, "tokenize", "tokenizes a corpus once, into shards for training", "train and use");
  details(
      command,
      "Texts become a folder of shards: files of token ids, 2 or 4 bytes each, that training maps "
      "into memory (`data: {type: token-shards, folder: DIR}`), with the tokenizer beside them. A "
      "document ends with the tokenizer's end of text. The command works on all cores, in memory "
      "that does not grow with the corpus (at most 15 times --shard-size for each worker), and the "
      "result does not depend on their number. Interrupted, it goes on when it is run again.\n"
      "Inputs are files, folders and glob patterns (*, ?, [a-z], **): text; .jsonl, an object with "
      "a "
      "text a line; .tar, a WebDataset whose members end in .txt. Text and .jsonl may be packed "
      "(.gz). A line, paragraph or member may have 256 MiB; files of text may have any size.");
  positional(command, "INPUT", arguments->inputs, "files, folders or patterns to read");
  option(command, "--tokenizer", "T", arguments->tokenizer,
         "a tokenizer.json or its folder; or bytes; or bpe, which learns merges from the input",
         false);
  option(command, "--out", "DIR", arguments->out, "folder of the shards; made if need be", false)
      ->required();
  option(command, "--field", "NAME", arguments->corpus.field,
         "the member of a .jsonl file's objects that is the text");
  option(command, "--documents", "KIND", arguments->corpus.documents,
         "what a document of a text file is: file, paragraph (between blank lines) or line");
  option(command, "--shard-size", "MIB", arguments->shard_size, "text in a shard, in MiB")
      ->check(CLI::PositiveNumber);
  option(command, "--vocab-size", "N", arguments->vocab_size,
         "bpe: tokens to learn, 256 bytes and the end of text included")
      ->check(CLI::Range(257, 1 << 20));
  option(command, "--train-size", "MIB", arguments->train_size,
         "bpe: text to learn from, at the input's beginning, in MiB; it is held in memory")
      ->check(CLI::PositiveNumber);
  option(command, "--workers", "N", arguments->workers, "threads; 0: as many as there are cores")
      ->check(CLI::Range(0, 1024));
  command->add_flag("--overwrite", arguments->overwrite,
                    "replace the shards that another request has left in DIR");
  command->add_flag("--check", arguments->check,
                    "write nothing: compare every shard in DIR with its checksum");
  command->add_flag("--json", arguments->json, "print one JSON document");
  examples(
      command,
      {{"heed tokenize 'wiki/*.jsonl.gz' --tokenizer tokenizer.json --out shards/wiki", ""},
       {"heed tokenize plays.txt --documents paragraph --tokenizer bpe --vocab-size 2048 --out "
        "shards/plays",
        ""},
       {"heed tokenize --check --out shards/wiki", "is every byte still what was written?"}});
  command->callback([arguments] { tokenize(*arguments); });
}

}  // namespace heed::tools
