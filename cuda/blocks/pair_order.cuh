// Pairs by their distance in time, and which of them a prediction is combined from. The twin of
// native/methods/src/blocks/pair_order.rs.
#ifndef STF_BLOCKS_PAIR_ORDER
#define STF_BLOCKS_PAIR_ORDER

// A pair: its number in the job, and the days from the target to it; 0 where days do not count.
struct PairInTime {
    int number, gap;
};

// The pairs of a prediction; a number below 0 is none, and without a first one there is no second one.
struct ChosenPairs {
    PairInTime first, second;

    // Weighted mean of what the two predict (`b` plays no part without a second one).
    __device__ __forceinline__ double combined(double a, double b) const {
        if (second.number < 0)
            return a;
        const double of_a = 1.0 / double(-first.gap), of_b = 1.0 / double(second.gap);
        return (of_a * a + of_b * b) / (of_a + of_b);
    }
};

// Of `count` pairs, the nearest first, the first usable one on or before the target day and the first one after it; one
// of the day itself, or where days do not count, alone.
template <class Usable>
__device__ __forceinline__ ChosenPairs chosen_pairs(const PairInTime *order, int count, const Usable &usable) {
    ChosenPairs chosen = {{-1, 0}, {-1, 0}};
#pragma unroll 1
    for (int i = 0; i < count; i++) {
        const PairInTime pair = order[i];
        const bool later = pair.gap > 0;
        if ((later ? chosen.second.number : chosen.first.number) >= 0 || !usable(pair.number))
            continue;
        if (later)
            chosen.second = pair;
        else
            chosen.first = pair;
    }
    if (chosen.first.number < 0)
        chosen = {chosen.second, {-1, 0}};
    else if (chosen.first.gap == 0)
        chosen.second.number = -1;
    return chosen;
}

#endif
