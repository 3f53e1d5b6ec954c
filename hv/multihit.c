/*
 * iTLB multihit: see multihit.h. No state. Intel, "Machine Check Error Avoidance on Page Size
 * Change", names the models; a CPU that says PSCHANGE_MC_NO is immune (Intel SDM vol. 4,
 * IA32_ARCH_CAPABILITIES), and of the others in Intel's family 6 the Atoms and the Xeon Phis are. A
 * model that nobody knows counts as affected.
 */
#include "hv/multihit.h"
#include "hv/cpu_facts.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/log.h"
#include "hv/msr_index.h"

enum { CPUID_0_ECX_INTEL = 0x6c65746e /* "ntel" */, CPUID_7_EDX_CAPABILITIES = BIT(29) };
enum { CAPABILITIES_PSCHANGE_MC_NO = BIT(6) };
#define CPUID_1_ECX_HYPERVISOR BIT(31)

/* Those that have EPT and may not say PSCHANGE_MC_NO. */
static const uint8_t immune[] = {
	0x37, 0x4a, 0x4d, 0x5a, 0x5d, /* Silvermont */
	0x4c, 0x65, 0x6e, 0x75,	      /* Airmont */
	0x5c, 0x5f, 0x7a,	      /* Goldmont, Goldmont Plus */
	0x86,			      /* Tremont */
	0x57, 0x85,		      /* Xeon Phi: Knights Landing, Knights Mill */
};

static bool says_immune(void)
{
	uint32_t r[4];
	uint64_t capabilities;

	return cpu_leaf(7, 0, r) && r[EDX] & CPUID_7_EDX_CAPABILITIES &&
	       host_rdmsr(MSR_ARCH_CAPABILITIES, &capabilities) &&
	       capabilities & CAPABILITIES_PSCHANGE_MC_NO;
}

static bool is_immune_model(uint32_t signature)
{
	if (cpu_facts_family(signature) != 6) {
		return true; /* older than EPT */
	}
	for (size_t i = 0; i < ARRAY_SIZE(immune); i++) {
		if (cpu_facts_model(signature) == immune[i]) {
			return true;
		}
	}
	return false;
}

enum multihit multihit_read(void)
{
	uint32_t first[4], r[4];

	host_cpuid(0, 0, first);
	host_cpuid(1, 0, r);
	if (first[ECX] != CPUID_0_ECX_INTEL || is_immune_model(r[EAX]) || says_immune()) {
		return MULTIHIT_NO;
	}
	return r[ECX] & CPUID_1_ECX_HYPERVISOR ? MULTIHIT_BELOW : MULTIHIT_YES;
}

/* The word is all of the value, up to a blank or the end. */
static bool is_word(const char *value, const char *word)
{
	size_t len = strlen(word);

	return value && !strncmp(value, word, len) && (!value[len] || value[len] == ' ');
}

static unsigned first_affected(const struct cpu_facts *f, unsigned cpus)
{
	unsigned i = 0;

	while (i < cpus && f[i].multihit != MULTIHIT_YES) {
		i++;
	}
	return i;
}

bool multihit_choose(const char *word, const struct cpu_facts *f, unsigned cpus)
{
	static const char small[] = "guests run code from 4 KiB leaves";
	static const char large[] = "guests run code from large leaves";
	unsigned affected = first_affected(f, cpus);

	if (is_word(word, "split")) {
		log_line("iTLB multihit: split by the command line: %s", small);
		return true;
	}
	if (is_word(word, "trust")) {
		log_line("iTLB multihit: trusted by the command line: %s%s", large,
			 affected < cpus ? ", and can stop this machine by a machine check" : "");
		return false;
	}
	if (word) {
		log_line("multihit: the value is neither split nor trust, and is not used");
	}
	if (affected < cpus) {
		log_line("iTLB multihit: CPU %u is affected: %s", affected, small);
		return true;
	}
	log_line("iTLB multihit: %s: %s",
		 f[0].multihit == MULTIHIT_BELOW ? "left to the hypervisor below"
						 : "no CPU is affected",
		 large);
	return false;
}
