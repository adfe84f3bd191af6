// One device over standard input and output, for a process of its own: AddressSanitizer ends it with a report when a
// kernel leaves its memory.
//
// A request is a byte and numbers of eight bytes:
//   'a' bytes                         -> address            fresh memory, full of 0xff
//   'f' address                                              gives it back
//   'w' address at bytes, the bytes                          writes
//   'r' address at bytes              -> the bytes           reads
//   'l' name grid block shared reversed count, then size and bytes of each argument -> status
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "shim.h"

namespace {

void get(void *to, std::size_t bytes) {
    if (bytes && std::fread(to, 1, bytes, stdin) != bytes)
        std::exit(0);
}

std::uint64_t number() {
    std::uint64_t value;
    get(&value, sizeof value);
    return value;
}

char *pointer() { return reinterpret_cast<char *>(std::uintptr_t(number())); }

void put(const void *from, std::size_t bytes) {
    if (std::fwrite(from, 1, bytes, stdout) != bytes || std::fflush(stdout) != 0)
        std::exit(1);
}

void launch() {
    std::string name(number(), ' ');
    get(&name[0], name.size());
    unsigned grid[3], block[3];
    for (unsigned &n : grid)
        n = unsigned(number());
    for (unsigned &n : block)
        n = unsigned(number());
    const unsigned shared_bytes = unsigned(number());
    const int reversed = int(number());
    std::vector<std::vector<std::uint64_t>> values(number());
    std::vector<void *> arguments;
    for (auto &value : values) {
        const std::size_t bytes = number();
        value.resize(bytes / 8 + 1);
        get(value.data(), bytes);
        arguments.push_back(value.data());
    }
    const std::int64_t status =
        stf_shim_launch_ordered(name.c_str(), grid, block, shared_bytes, arguments.data(), reversed);
    put(&status, sizeof status);
}

} // namespace

int main() {
    for (int what; (what = std::getchar()) != EOF;) {
        switch (what) {
        case 'a': {
            const std::size_t bytes = number();
            void *memory = std::malloc(bytes);
            std::memset(memory, 0xff, bytes);
            const std::uint64_t address = reinterpret_cast<std::uintptr_t>(memory);
            put(&address, sizeof address);
            break;
        }
        case 'f':
            std::free(pointer());
            break;
        case 'w': {
            char *to = pointer();
            to += number();
            get(to, number());
            break;
        }
        case 'r': {
            const char *from = pointer();
            from += number();
            put(from, number());
            break;
        }
        case 'l':
            launch();
            break;
        default:
            return 2;
        }
    }
    return 0;
}
