/* The state of the agent: as it was exported, and to and from bytes.
 *
 * Bytes of a saved state, little-endian: 8 of a mark, 8 of the layout's number, 4 of the size of a real, 4 of their
 * count, 4 of the count of words, 4 of the settings' number (0 in states of earlier versions); then the reals, the
 * words, and 8 of the FNV-1a sum of all before. */

static const unsigned char mark[8] = {'t', 'r', 'a', 'c', 'e', 'r', 'l', '1'};
static int is_prepared;

/* Begin with the exported state: zeros but for the runs that weights.h lists. */
void agent_reset(void)
{
    int next = 0;
    for (int i = 0; i < AGENT_REALS; i++)
        memory[i] = 0;
    for (int k = 0; k < N_RUNS; k++)
        for (int i = 0; i < runs[k].count; i++)
            memory[runs[k].start + i] = exported_reals[next++];
    for (int i = 0; i < AGENT_WORDS; i++)
        words[i] = exported_words[i];
    is_prepared = 1;
}

static void prepare(void)
{
    if (!is_prepared)
        agent_reset();
}

static unsigned char *put(unsigned char *to, uint64_t bits, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        *to++ = (unsigned char)(bits >> (8 * i));
    return to;
}

static uint64_t get(const unsigned char *from, int n_bytes)
{
    uint64_t bits = 0;
    for (int i = 0; i < n_bytes; i++)
        bits |= (uint64_t)from[i] << (8 * i);
    return bits;
}

static uint64_t sum_of(const unsigned char *bytes, size_t size)
{
    uint64_t sum = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001B3);
    return sum;
}

static unsigned char *put_header(unsigned char *to)
{
    for (int i = 0; i < 8; i++)
        *to++ = mark[i];
    to = put(to, LAYOUT, 8);
    to = put(to, sizeof(real), 4);
    to = put(to, AGENT_REALS, 4);
    to = put(to, AGENT_WORDS, 4);
    return put(to, SETTINGS, 4);
}

/* A real and its bits; the second member is that of the same size. */
union real_bits { real number; uint32_t bits_32; uint64_t bits_64; };

size_t agent_save(void *buffer, size_t size)
{
    unsigned char *to = buffer;
    prepare();
    if (size < AGENT_STATE_BYTES)
        return 0;
    to = put_header(to);
    for (int i = 0; i < AGENT_REALS; i++) {
        union real_bits bits;
        bits.bits_64 = 0;
        bits.number = memory[i];
        to = put(to, sizeof(real) == 8 ? bits.bits_64 : bits.bits_32, (int)sizeof(real));
    }
    for (int i = 0; i < AGENT_WORDS; i++)
        to = put(to, (uint64_t)words[i].word, 8);
    put(to, sum_of(buffer, AGENT_STATE_BYTES - 8), 8);
    return AGENT_STATE_BYTES;
}

int agent_load(const void *buffer, size_t size)
{
    const unsigned char *from = buffer;
    unsigned char header[32];
    if (size != AGENT_STATE_BYTES || get(from + size - 8, 8) != sum_of(from, size - 8))
        return 0;
    put_header(header);
    for (int i = 0; i < 28; i++)
        if (header[i] != from[i])
            return 0;
    if (get(from + 28, 4) != SETTINGS && get(from + 28, 4) != 0)
        return 0;
    from += 32;
    for (int i = 0; i < AGENT_REALS; i++, from += sizeof(real)) {
        union real_bits bits;
        bits.bits_64 = get(from, (int)sizeof(real));
        if (sizeof(real) == 4)
            bits.bits_32 = (uint32_t)bits.bits_64;
        memory[i] = bits.number;
    }
    for (int i = 0; i < AGENT_WORDS; i++, from += 8)
        words[i].word = (int64_t)get(from, 8);
    is_prepared = 1;
    return 1;
}
