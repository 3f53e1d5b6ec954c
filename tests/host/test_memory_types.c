/*
 * Which memory type an access of a guest has: its own PAT type, combined with what the leaves of
 * EPT or NPT say and with the machine's MTRRs, by the tables of the manuals.
 */
#include "arch/x86_64/pat.h"
#include "arch/x86_64/svm/npt_format.h"
#include "arch/x86_64/vmx/ept_format.h"
#include "tests/fake/fake_host.h"
#include "tests/host/test.h"

/* As the PAT and the MTRRs encode them; CD and WC+ are what AMD makes of some pairs. */
enum type { UC = 0, WC = 1, WT = 4, WP = 5, WB = 6, UC_MINUS = 7, CD, WC_PLUS, TYPES };
static const char *const name[TYPES] = {"UC", "WC", "?", "?", "WT", "WP", "WB", "UC-", "CD", "WC+"};

/* The columns of the tables below, and the rows of the first and the last. */
static const enum type pat_order[] = {UC, UC_MINUS, WC, WP, WT, WB};
static const enum type mtrr_order[] = {UC, WC, WP, WT, WB};

/* clang-format off */
/* AMD APM vol. 2, "Combining Memory Types, MTRRs": combining guest (row) and host (column) PAT types. */
static const enum type amd_pat[6][6] = {
	{UC,	   UC,	     UC,	UC,	 UC,	  UC},
	{UC,	   UC_MINUS, WC,	UC,	 UC,	  UC},
	{WC,	   WC,	     WC,	WC_PLUS, WC_PLUS, WC_PLUS},
	{UC,	   UC,	     UC,	WP,	 UC,	  WP},
	{UC,	   UC,	     UC,	UC,	 WT,	  WT},
	{UC,	   UC,	     WC,	WP,	 WT,	  WB},
};
/* The same, combining PAT (row) and MTRR (column) types. */
static const struct { enum type pat, with[5]; } amd_mtrr[] = {
	{UC,	   {UC, CD, CD,	     CD,      CD}},
	{UC_MINUS, {UC, WC, CD,	     CD,      CD}},
	{WC,	   {WC, WC, WC,	     WC,      WC}},
	{WC_PLUS,  {WC, WC, WC_PLUS, WC_PLUS, WC_PLUS}},
	{WP,	   {UC, CD, WP,	     CD,      WP}},
	{WT,	   {UC, CD, CD,	     WT,      WT}},
	{WB,	   {UC, WC, WP,	     WT,      WB}},
};
/*
 * Intel SDM vol. 3, "Effective Page-Level Memory Types" of CPUs with PAT, the EPT type in the
 * MTRR's place ("EPT and Memory Typing"): only the two columns that are used.
 */
static const enum type intel_uc[6] = {UC, UC, WC, UC, UC, UC};
static const enum type intel_wb[6] = {UC, UC, WC, WP, WT, WB};
/* clang-format on */

static unsigned place(const enum type *order, unsigned n, enum type t)
{
	unsigned i = 0;

	while (i < n && order[i] != t) {
		i++;
	}
	CHECK(i < n);
	return i;
}

static enum type with_mtrr(enum type pat, enum type mtrr)
{
	for (size_t i = 0; i < ARRAY_SIZE(amd_mtrr); i++) {
		if (amd_mtrr[i].pat == pat) {
			return amd_mtrr[i].with[place(mtrr_order, 5, mtrr)];
		}
	}
	CHECK(!"a type that the table has");
	return UC;
}

static uint64_t leaf_of(const struct npt_format *f, bool uncached, uint64_t size)
{
	const struct addr_range range = {
		.size = size, .hpa = {GIB(1)}, .writable = true, .uncached = uncached};
	const struct addrspace as = {.count = 1, .range = {range}};
	struct refusal why = {""};
	struct npt t;
	uint64_t got;

	fake_host_reset();
	CHECK(npt_build(&t, f, &as, &why));
	return npt_lookup(&t, gpa(0), &got);
}

/* PWT, PCD and PAT choose the entry; PAT is elsewhere in large leaves. */
static enum type host_type(uint64_t leaf, bool large)
{
	unsigned pat = (leaf >> (large ? 12 : 7)) & 1;

	return (enum type)(PAT_OWN >> 8 * (pat << 2 | (leaf >> 3 & 3)) & 7);
}

static const char *list(const enum type *types)
{
	static char text[64];
	size_t len = 0;

	for (unsigned i = 0; i < 6; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, i ? " %s" : "%s",
					name[types[i]]);
	}
	return text;
}

static void check_npt(bool uncached, enum type mtrr, const char *wanted)
{
	static const struct npt_format npt = NPT_FORMAT;
	enum type got[6];

	for (unsigned large = 0; large < 2; large++) {
		uint64_t leaf = leaf_of(&npt, uncached, large ? MIB(2) : KIB(4));
		enum type host = host_type(leaf, large);

		for (unsigned i = 0; i < 6; i++) {
			got[i] = with_mtrr(amd_pat[i][place(pat_order, 6, host)], mtrr);
		}
		CHECK_STR(list(got), wanted);
	}
}

static void check_ept(bool uncached, const char *wanted)
{
	static const struct npt_format ept = EPT_FORMAT;

	for (unsigned large = 0; large < 2; large++) {
		uint64_t leaf = leaf_of(&ept, uncached, large ? MIB(2) : KIB(4));

		CHECK_EQ(leaf & BIT(6), 0); /* the guest's PAT is not ignored */
		CHECK(field_get(FIELD(5, 3), leaf) == (uncached ? UC : WB));
		CHECK_STR(list(field_get(FIELD(5, 3), leaf) == WB ? intel_wb : intel_uc), wanted);
	}
}

/* The columns: the guest says UC, UC-, WC, WP, WT, WB. The table in docs/real-machines.md. */
TEST(ram_is_as_the_guest_says_and_stays_coherent)
{
	check_ept(false, "UC UC WC WP WT WB");
	check_npt(false, WB, "CD CD WC+ WP WT WB");
}

TEST(device_memory_is_never_cached)
{
	check_ept(true, "UC UC WC UC UC UC");
	check_npt(true, UC, "UC UC WC UC UC UC");
	/* A frame buffer that firmware's MTRRs have WC, for guests that map it UC-. */
	check_npt(true, WC, "CD WC WC CD CD CD");
	/* Where firmware forgot a BAR. */
	check_npt(true, WB, "CD CD WC CD CD CD");
	check_npt(true, WT, "CD CD WC CD CD CD");
	check_npt(true, WP, "CD CD WC CD CD CD");
}
