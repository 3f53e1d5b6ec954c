/*
 * The VMCB (AMD APM vol. 2, appendix "Layout of VMCB") and its bits.
 */
#pragma once

#include "hv/types.h"

struct vmcb_segment {
	uint16_t selector;
	uint16_t attributes; /* descriptor bits 55:52 and 47:40 */
	uint32_t limit;
	uint64_t base;
};

struct vmcb {
	/* Control area. */
	uint32_t intercept_cr; /* reads in 15:0, writes in 31:16 */
	uint32_t intercept_dr;
	uint32_t intercept_exceptions;
	uint32_t intercept_3; /* enum intercept_3 */
	uint32_t intercept_4; /* enum intercept_4 */
	uint32_t intercept_5;
	uint8_t reserved_018[0x3c - 0x18];
	uint16_t pause_threshold;
	uint16_t pause_count;
	uint64_t iopm;
	uint64_t msrpm;
	uint64_t tsc_offset;
	uint32_t asid;
	uint32_t tlb_control;
	uint64_t vintr;	    /* enum vintr */
	uint64_t int_state; /* bit 0: interrupt shadow */
	uint64_t exit_code;
	uint64_t exit_info1;
	uint64_t exit_info2;
	uint64_t exit_event; /* EXITINTINFO */
	uint64_t nested;     /* bit 0: nested paging */
	uint8_t reserved_098[0xa8 - 0x98];
	uint64_t inject; /* EVENTINJ */
	uint64_t nested_cr3;
	uint64_t lbr_control;
	uint64_t clean; /* enum clean: parts that have not changed since the exit */
	uint64_t next_rip;
	uint8_t reserved_0d0[0x400 - 0xd0];
	/* State save area. */
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved_4a0[0x4cb - 0x4a0];
	uint8_t cpl;
	uint32_t reserved_4cc;
	uint64_t efer;
	uint8_t reserved_4d8[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t reserved_580[0x5d8 - 0x580];
	uint64_t rsp;
	uint8_t reserved_5e0[0x5f8 - 0x5e0];
	uint64_t rax;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t cr2;
	uint8_t reserved_648[0x668 - 0x648];
	uint64_t guest_pat;
	uint64_t debugctl;
	uint8_t reserved_678[0x1000 - 0x678];
};
#define VMCB_AT(field, at) _Static_assert(offsetof(struct vmcb, field) == (at), "hardware layout")
VMCB_AT(intercept_exceptions, 0x008);
VMCB_AT(intercept_3, 0x00c);
VMCB_AT(intercept_4, 0x010);
VMCB_AT(intercept_5, 0x014);
VMCB_AT(pause_threshold, 0x03c);
VMCB_AT(iopm, 0x040);
VMCB_AT(msrpm, 0x048);
VMCB_AT(tsc_offset, 0x050);
VMCB_AT(asid, 0x058);
VMCB_AT(tlb_control, 0x05c);
VMCB_AT(vintr, 0x060);
VMCB_AT(int_state, 0x068);
VMCB_AT(exit_code, 0x070);
VMCB_AT(exit_info1, 0x078);
VMCB_AT(exit_info2, 0x080);
VMCB_AT(exit_event, 0x088);
VMCB_AT(nested, 0x090);
VMCB_AT(inject, 0x0a8);
VMCB_AT(nested_cr3, 0x0b0);
VMCB_AT(lbr_control, 0x0b8);
VMCB_AT(clean, 0x0c0);
VMCB_AT(next_rip, 0x0c8);
VMCB_AT(es, 0x400);
VMCB_AT(gdtr, 0x460);
VMCB_AT(tr, 0x490);
VMCB_AT(cpl, 0x4cb);
VMCB_AT(efer, 0x4d0);
VMCB_AT(cr4, 0x548);
VMCB_AT(rip, 0x578);
VMCB_AT(rsp, 0x5d8);
VMCB_AT(rax, 0x5f8);
VMCB_AT(kernel_gs_base, 0x620);
VMCB_AT(sysenter_eip, 0x638);
VMCB_AT(cr2, 0x640);
VMCB_AT(guest_pat, 0x668);
VMCB_AT(debugctl, 0x670);
_Static_assert(sizeof(struct vmcb) == 0x1000, "hardware layout");
#undef VMCB_AT

enum intercept_cr { INTERCEPT_WRITE_CR8 = BIT(24) };

enum intercept_3 {
	INTERCEPT_INTR = BIT(0),
	INTERCEPT_NMI = BIT(1),
	INTERCEPT_INIT = BIT(3),
	INTERCEPT_VINTR = BIT(4),
	INTERCEPT_RDPMC = BIT(15),
	INTERCEPT_PUSHF = BIT(16),
	INTERCEPT_POPF = BIT(17),
	INTERCEPT_CPUID = BIT(18),
	INTERCEPT_RSM = BIT(19),
	INTERCEPT_IRET = BIT(20),
	INTERCEPT_SOFT_INT = BIT(21),
	INTERCEPT_INVD = BIT(22),
	INTERCEPT_HLT = BIT(24),
	INTERCEPT_INVLPGA = BIT(26),
	INTERCEPT_IO = BIT(27),
	INTERCEPT_MSR = BIT(28),
	INTERCEPT_TASK_SWITCH = BIT(29),
};
#define INTERCEPT_SHUTDOWN BIT(31)

enum intercept_4 {
	INTERCEPT_SVM = FIELD(6, 0), /* VMRUN VMMCALL VMLOAD VMSAVE STGI CLGI SKINIT */
	INTERCEPT_ICEBP = BIT(8),
	INTERCEPT_WBINVD = BIT(9),
	INTERCEPT_MONITOR = BIT(10),
	INTERCEPT_MWAIT = BIT(11),
	INTERCEPT_XSETBV = BIT(13),
	INTERCEPT_RDPRU = BIT(14),
};

enum vintr {
	VINTR_TPR = FIELD(3, 0),
	VINTR_IRQ = BIT(8),
	VINTR_PRIORITY = FIELD(19, 16),
	VINTR_IGNORE_TPR = BIT(20),
	VINTR_MASKING = BIT(
		24), /* the host's IF masks physical interrupts, the guest's virtual ones */
};

enum { INT_STATE_SHADOW = BIT(0) };

enum tlb_control { TLB_KEEP = 0, TLB_FLUSH_ALL = 1, TLB_FLUSH_ASID = 3 };

enum clean {
	CLEAN_INTERCEPTS = BIT(0), /* and TSC offset */
	CLEAN_VINTR = BIT(3),
	CLEAN_NESTED = BIT(4), /* and G_PAT */
	CLEAN_CR = BIT(5),     /* CR0 CR3 CR4 EFER */
	CLEAN_DR = BIT(6),
	CLEAN_TABLES = BIT(7),
	CLEAN_SEGMENTS = BIT(8), /* CS DS SS ES CPL */
	CLEAN_CR2 = BIT(9),
	CLEAN_ALL = BIT(11) - 1,
};

/* AMD APM vol. 2, appendix "SVM Intercept Exit Codes". */
enum svm_exit_code {
	SVM_WRITE_CR8 = 0x18,
	SVM_EXCEPTION = 0x40, /* + vector, to 0x5f */
	SVM_EXCEPTION_LAST = 0x5f,
	SVM_INTR = 0x60,
	SVM_NMI = 0x61,
	SVM_VINTR = 0x64,
	SVM_RDPMC = 0x6f,
	SVM_PUSHF = 0x70,
	SVM_POPF = 0x71,
	SVM_CPUID = 0x72,
	SVM_RSM = 0x73,
	SVM_IRET = 0x74,
	SVM_SOFT_INT = 0x75,
	SVM_INVD = 0x76,
	SVM_HLT = 0x78,
	SVM_INVLPGA = 0x7a,
	SVM_IO = 0x7b,
	SVM_MSR = 0x7c,
	SVM_TASK_SWITCH = 0x7d,
	SVM_SHUTDOWN = 0x7f,
	SVM_VMRUN = 0x80,
	SVM_VMMCALL = 0x81,
	SVM_VMLOAD = 0x82,
	SVM_SKINIT = 0x86,
	SVM_ICEBP = 0x88,
	SVM_WBINVD = 0x89,
	SVM_MONITOR = 0x8a,
	SVM_MWAIT = 0x8b,
	SVM_MWAIT_CONDITIONAL = 0x8c,
	SVM_XSETBV = 0x8d,
	SVM_RDPRU = 0x8e,
	SVM_NPF = 0x400,
};
#define SVM_INVALID 0xffffffffu
