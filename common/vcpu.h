/*
 * The virtual CPU's architectural state.
 *
 * Owns: struct vcpu and the register numbers. Everything is 64 bits wide where the architecture
 * can be, so that long mode needs no new interface. IF and the virtual CPL of a running guest
 * live in the PV page; vcpu_cpl() and vcpu_if() in pv.h read them.
 */
#ifndef PLEX86_VCPU_H
#define PLEX86_VCPU_H

#include "types.h"
#include "../decoder/decode.h"

/* clang-format off */
enum gpr {
	GPR_AX, GPR_CX, GPR_DX, GPR_BX, GPR_SP, GPR_BP, GPR_SI, GPR_DI,
	GPR_R8, GPR_R9, GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14, GPR_R15, GPR_COUNT
};
/* clang-format on */

#define FLAG_CF	  0x00000001u
#define FLAG_ONE  0x00000002u
#define FLAG_PF	  0x00000004u
#define FLAG_AF	  0x00000010u
#define FLAG_ZF	  0x00000040u
#define FLAG_SF	  0x00000080u
#define FLAG_TF	  0x00000100u
#define FLAG_IF	  0x00000200u
#define FLAG_DF	  0x00000400u
#define FLAG_OF	  0x00000800u
#define FLAG_IOPL 0x00003000u
#define FLAG_NT	  0x00004000u
#define FLAG_RF	  0x00010000u
#define FLAG_VM	  0x00020000u
#define FLAG_AC	  0x00040000u
#define FLAG_VIF  0x00080000u
#define FLAG_VIP  0x00100000u
#define FLAG_ID	  0x00200000u

#define CR0_PE 0x00000001u
#define CR0_MP 0x00000002u
#define CR0_EM 0x00000004u
#define CR0_TS 0x00000008u
#define CR0_ET 0x00000010u
#define CR0_NE 0x00000020u
#define CR0_WP 0x00010000u
#define CR0_AM 0x00040000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u
#define CR0_DEFINED                                                                                \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)

#define CR4_VME	       0x0001u
#define CR4_PVI	       0x0002u
#define CR4_TSD	       0x0004u
#define CR4_DE	       0x0008u
#define CR4_PSE	       0x0010u
#define CR4_PAE	       0x0020u
#define CR4_MCE	       0x0040u
#define CR4_PGE	       0x0080u
#define CR4_PCE	       0x0100u
#define CR4_OSFXSR     0x0200u
#define CR4_OSXMMEXCPT 0x0400u
#define CR4_OSXSAVE    0x40000u
/* What CPUID announces, but for OSXSAVE: no VME, MCE, SMEP and so on. */
#define CR4_DEFINED \
	(CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT)

#define EFER_NXE 0x800u

/* State components a guest may have: x87, SSE, AVX, the three of AVX-512. */
#define XCR0_X87     0x01u
#define XCR0_SSE     0x02u
#define XCR0_AVX     0x04u
#define XCR0_AVX512  0xe0u
#define XCR0_DEFINED (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512)

/* clang-format off */
enum exception {
	EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5, EXC_UD = 6,
	EXC_NM = 7, EXC_DF = 8, EXC_TS = 10, EXC_NP = 11, EXC_SS = 12, EXC_GP = 13, EXC_PF = 14,
	EXC_MF = 16, EXC_AC = 17, EXC_MC = 18, EXC_XM = 19
};
/* clang-format on */

/* Page-fault error code (SDM vol. 3, 4.7). */
#define PF_PRESENT 1u
#define PF_WRITE   2u
#define PF_USER	   4u
#define PF_RSVD	   8u
#define PF_FETCH   16u

/* A segment register with its hidden part. attr holds descriptor bits 40-55 with the limit's high
 * nibble cleared: type, S, DPL, P, AVL, L, D/B, G. limit is in bytes, G already applied. */
struct segment {
	u64 base;
	u32 limit;
	u16 attr;
	u16 selector;
};

#define SEG_TYPE	  0x000f
#define SEG_S		  0x0010
#define SEG_DPL		  0x0060
#define SEG_P		  0x0080
#define SEG_AVL		  0x1000
#define SEG_L		  0x2000
#define SEG_DB		  0x4000
#define SEG_G		  0x8000
#define SEG_TYPE_ACCESSED 0x1
#define SEG_TYPE_WRITE	  0x2 /* data: writable; code: readable */
#define SEG_TYPE_DOWN	  0x4 /* data: expand-down; code: conforming */
#define SEG_TYPE_CODE	  0x8

struct table_register {
	u64 base;
	u16 limit;
	u16 reserved[3]; /* 0; all of a vcpu may go to the VMM, so that nothing is left undefined */
};

struct vcpu {
	u64 gpr[GPR_COUNT];
	u64 rip;
	u64 rflags; /* IF is not meaningful here: see pv.h */
	struct segment seg[SEG_COUNT];
	struct segment ldtr, tr;
	struct table_register gdtr, idtr;
	u64 cr0, cr2, cr3, cr4;
	u64 pdpte[4]; /* with PAE: what CR3 pointed to when it was loaded */
	u64 dr[8];
	u64 xcr0;		    /* what the guest has set; the hardware's is the host's */
	u64 efer;		    /* NXE alone; long mode, one day */
	u8 iopl;		    /* virtual IOPL; the hardware's is 0 */
	bool halted;		    /* in hlt, waiting for an interrupt */
	bool shutdown;		    /* triple fault */
	u16 hw_selector[SEG_COUNT]; /* what the hardware's segment registers hold (segment.h) */
};

#endif
