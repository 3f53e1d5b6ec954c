/*
 * What a guest's CPUID shows, and with it which controls the backends enable: one const table.
 *
 * A feature is shown when this machine has it, the table allows it, and the control that it needs is
 * one of virt_controls. Backends enable every control that they report, so the two cannot disagree.
 */
#pragma once

#include "hv/vcpu.h"

/* Controls that some features need before the instruction works in a guest. */
enum virt_control {
	CONTROL_RDTSCP = BIT(0),
	CONTROL_INVPCID = BIT(1),
	CONTROL_XSAVES = BIT(2),
	CONTROL_WAITPKG = BIT(3),
	CONTROL_ALL = BIT(4) - 1,
};

/* Set by virt_ops.probe: what every CPU of this machine can enable. SVM needs none of them: all. */
extern uint32_t virt_controls;

/* Builds the tables of this machine. Boot CPU, once, after probe. */
void cpuid_init(void);
/*
 * On a CPU that guests use, after cpuid_init and before vCPUs are created, one CPU at a time: takes
 * away what this one has not. Cores of one package may differ, and a guest sees one kind of CPU.
 */
void cpuid_meet(void);

/* CPUID as vCPU v sees it now (OSXSAVE, APIC id and XSAVE sizes follow its state). */
void cpuid_guest(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* Features that policy asks for by name, as the guest sees them. */
enum cpuid_feature { FEATURE_X2APIC, FEATURE_TSC_DEADLINE, FEATURE_RDTSCP, FEATURE_INVPCID,
		     FEATURE_XSAVE, FEATURE_XSAVES, FEATURE_NX, FEATURE_GIB_PAGES, FEATURE_LA57,
		     FEATURE_FSGSBASE, FEATURE_SMEP, FEATURE_SMAP, FEATURE_PKU, FEATURE_PCID,
		     FEATURE_UMIP, FEATURE_FFXSR, FEATURE_TCE, FEATURE_SPEC_CTRL, FEATURE_IBPB,
		     FEATURE_SYSCALL, FEATURE_LONG_MODE, FEATURE_TSC_AUX, FEATURE_ARCH_CAPABILITIES,
		     FEATURE_AVX, FEATURE_PCE, FEATURE_MCE, FEATURE_VME, FEATURE_PSE, FEATURE_PAE,
		     FEATURE_DE, FEATURE_PGE, FEATURE_FXSR, FEATURE_SSE, FEATURE_TSC, FEATURE_FLUSH_CMD,
		     FEATURE_WAITPKG, FEATURES };
bool cpuid_has(enum cpuid_feature f);

unsigned cpuid_maxphyaddr(void);
uint64_t cpuid_xcr0_allowed(void); /* bits a guest may set in XCR0 */
