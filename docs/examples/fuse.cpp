// Fuses files, with the C++ interface: fuse FINE COARSE TARGET OUTPUT
//
//   c++ -std=c++17 fuse.cpp $(pkg-config --cflags --libs stfusion) -o fuse
#include <iostream>

#include <stfusion/stfusion.hpp>

int main(int argc, char **argv) {
    if (argc != 5) {
        std::cerr << "usage: fuse FINE COARSE TARGET OUTPUT\n";
        return 2;
    }
    try {
        stfusion::context context;
        context.progress([](double fraction, std::string_view message) {
            std::cerr << static_cast<int>(100 * fraction) << " % " << message << '\n';
            return true; // false would stop the work
        });
        stfusion::job job(context, "starfm");
        job.set("window", 31)
            .set("output", argv[4])
            .set("overwrite", true)
            .add_pair("2001-11-30", argv[1], argv[2])
            .set_target("2002-01-16", argv[3]);
        std::cout << job.run().json() << '\n';
        return 0;
    } catch (const stfusion::error &e) {
        std::cerr << e.status_name() << " error: " << e.what() << '\n' << e.hint() << '\n';
        return 1;
    }
}
