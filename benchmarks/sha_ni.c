/* SHA-256 with the SHA extensions of x86-64, four messages at a time: the speed that hashing of tree nodes and of
 * record leaves is measured against. Four streams, because one leaves the unit waiting for its own last round.
 *
 * A message is padded by whoever gives it (FIPS 180-4 section 5.1.1) and comes as whole blocks of 64 bytes. */

#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 4
#define BLOCK 64
#define HASH 32
#define SALT 16

static const uint32_t K[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* The eight words of a state, as the instructions want them. */
struct state {
    __m128i abef, cdgh;
};

static const struct {
    uint32_t fe[2], ba[2], hg[2], dc[2];
} FIRST __attribute__((aligned(16))) = {
    {0x9b05688c, 0x510e527f}, {0xbb67ae85, 0x6a09e667}, {0x5be0cd19, 0x1f83d9ab}, {0xa54ff53a, 0x3c6ef372}};

static inline struct state first_state(void)
{
    return (struct state){_mm_load_si128((const __m128i *)FIRST.fe), _mm_load_si128((const __m128i *)FIRST.hg)};
}

/* One block of each of `lanes` messages, which is a constant wherever this is inlined. */
static inline __attribute__((always_inline)) void rounds(struct state *states, const uint8_t **blocks, const int lanes)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bULL, 0x0405060700010203ULL);
    __m128i words[LANES][4], abef[LANES], cdgh[LANES];

    for (int lane = 0; lane < lanes; lane++) {
        abef[lane] = states[lane].abef;
        cdgh[lane] = states[lane].cdgh;
    }
#pragma GCC unroll 16
    for (int four = 0; four < 16; four++) {
        const __m128i k = _mm_load_si128((const __m128i *)(K + 4 * four));
#pragma GCC unroll 4
        for (int lane = 0; lane < lanes; lane++) {
            __m128i *w = words[lane], *now = &w[four % 4];
            if (four < 4)
                *now = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(blocks[lane] + 16 * four)), big_endian);
            else {
                const __m128i last = w[(four + 3) % 4];
                const __m128i seven_back = _mm_alignr_epi8(last, w[(four + 2) % 4], 4);
                *now = _mm_add_epi32(_mm_sha256msg1_epu32(*now, w[(four + 1) % 4]), seven_back);
                *now = _mm_sha256msg2_epu32(*now, last);
            }
            const __m128i added = _mm_add_epi32(*now, k);
            cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], added);
            abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], _mm_shuffle_epi32(added, 0x0e));
        }
    }
    for (int lane = 0; lane < lanes; lane++) {
        states[lane].abef = _mm_add_epi32(states[lane].abef, abef[lane]);
        states[lane].cdgh = _mm_add_epi32(states[lane].cdgh, cdgh[lane]);
        blocks[lane] += BLOCK;
    }
}

static void put_hash(struct state state, uint8_t *hash)
{
    uint32_t abef[4], cdgh[4];
    _mm_storeu_si128((__m128i *)abef, state.abef);
    _mm_storeu_si128((__m128i *)cdgh, state.cdgh);
    const uint32_t words[8] = {abef[3], abef[2], cdgh[3], cdgh[2], abef[1], abef[0], cdgh[1], cdgh[0]};
    for (int n = 0; n < 8; n++) {
        const uint32_t swapped = __builtin_bswap32(words[n]);
        memcpy(hash + 4 * n, &swapped, 4);
    }
}

/* Writes the padding behind `size` bytes; gives back how many blocks there are then. */
static size_t pad(uint8_t *message, size_t size)
{
    const size_t blocks = (size + 8) / BLOCK + 1;
    const uint64_t bits = __builtin_bswap64(8 * (uint64_t)size);
    message[size] = 0x80;
    memset(message + size + 1, 0, blocks * BLOCK - size - 9);
    memcpy(message + blocks * BLOCK - 8, &bits, 8);
    return blocks;
}

/* Hashes of `lanes` padded messages, the fewest blocks of all in step, what is left one by one. */
static inline void hash_messages(const uint8_t **messages, size_t *blocks, int lanes, uint8_t *hashes)
{
    struct state states[LANES];
    size_t shared = blocks[0];
    for (int lane = 0; lane < lanes; lane++) {
        states[lane] = first_state();
        shared = blocks[lane] < shared ? blocks[lane] : shared;
    }
    if (lanes == LANES)
        for (size_t block = 0; block < shared; block++)
            rounds(states, messages, LANES);
    for (int lane = 0; lane < lanes; lane++) {
        for (size_t block = lanes == LANES ? shared : 0; block < blocks[lane]; block++)
            rounds(states + lane, messages + lane, 1);
        put_hash(states[lane], hashes + HASH * lane);
    }
}

int has_sha_ni(void)
{
    uint32_t a = 7, b, c = 0, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return b >> 29 & 1;
}

/* SHA-256(0x01 || left || right) of adjacent pairs of hashes. `parents` may be `children`. */
void hash_nodes(const uint8_t *children, size_t pairs, uint8_t *parents)
{
    uint8_t padded[LANES][2 * BLOCK];
    size_t blocks[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        padded[lane][0] = 0x01;
        blocks[lane] = pad(padded[lane], 1 + 2 * HASH);
    }
    for (size_t pair = 0; pair < pairs; pair += LANES) {
        const uint8_t *messages[LANES];
        const int lanes = pairs - pair < LANES ? (int)(pairs - pair) : LANES;
        for (int lane = 0; lane < lanes; lane++) {
            memcpy(padded[lane] + 1, children + 2 * HASH * (pair + lane), 2 * HASH);
            messages[lane] = padded[lane];
        }
        hash_messages(messages, blocks, lanes, parents + HASH * pair);
    }
}

/* The root of RFC 9162 section 2.1 over `count` > 0 leaf hashes, which are overwritten. */
void tree_root(uint8_t *leaves, size_t count, uint8_t *root)
{
    for (; count > 1; count = count / 2 + count % 2) {
        hash_nodes(leaves, count / 2, leaves);
        if (count % 2)
            memmove(leaves + HASH * (count / 2), leaves + HASH * (count - 1), HASH);
    }
    memcpy(root, leaves, HASH);
}

/* SHA-256(0x00 || 0x01 || salt || record): record n goes from the byte after end n - 1, a newline, to end n.
 * Gives back 0 where there is no memory for the longest. */
int hash_leaves(const uint8_t *salts, const uint8_t *content, const int64_t *ends, size_t count, uint8_t *hashes)
{
    size_t longest = 0;
    for (size_t n = 0; n < count; n++) {
        const size_t size = (size_t)(ends[n] - (n ? ends[n - 1] + 1 : 0));
        longest = size > longest ? size : longest;
    }
    const size_t room = longest + 2 + SALT + 2 * BLOCK;
    uint8_t *padded = malloc(LANES * room);
    if (!padded)
        return 0;
    for (size_t n = 0; n < count; n += LANES) {
        const uint8_t *messages[LANES];
        size_t blocks[LANES];
        const int lanes = count - n < LANES ? (int)(count - n) : LANES;
        for (int lane = 0; lane < lanes; lane++) {
            uint8_t *message = padded + room * (size_t)lane;
            const int64_t start = n + lane ? ends[n + lane - 1] + 1 : 0;
            const size_t size = (size_t)(ends[n + lane] - start);
            message[0] = 0x00;
            message[1] = 0x01;
            memcpy(message + 2, salts + SALT * (n + lane), SALT);
            memcpy(message + 2 + SALT, content + start, size);
            blocks[lane] = pad(message, 2 + SALT + size);
            messages[lane] = message;
        }
        hash_messages(messages, blocks, lanes, hashes + HASH * n);
    }
    free(padded);
    return 1;
}
