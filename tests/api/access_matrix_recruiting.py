"""The rows of the table of access that recruiting adds: see access_matrix.py."""

MATRIX = {
    "nobody customer distributor brand finance operator": {
        "ShopQuery": "openSeats",
        "OpenSeat": "id tierName region openPlaces closesAt needsCode weights",
        "SeatWeights": "experienceBps audienceBps outputBps reviewBps",
    },
    "customer": {
        "ShopQuery": "myApplications",
        "Mutation": "applyForSeat withdrawApplication",
        "OwnApplication": (
            "id seat tierName seatRegion name region introduction experienceMonths audience declaredOutput state "
            "submittedAt decidedAt reason"
        ),
    },
    "distributor operator": {"OnboardingStep": "task isDone at"},
    "distributor": {
        "PartnerQuery": "recruitingCodes onboarding",
        "Mutation": "makeRecruitingCode revokeRecruitingCode",
        "OwnRecruitingCode": "id code seat createdAt revokedAt applications",
    },
    "operator": {
        "OperatorQuery": (
            "vacancies seats rankedApplications seatApplications seatApplication recruitingCodes onboarding"
        ),
        "Mutation": (
            "openSeat changeSeatWeights closeSeat verifyApplication reviewApplication rejectApplication "
            "moveApplication approveApplication makePlatformCode revokeAnyCode"
        ),
        "RecruitingCode": "id code seat createdAt revokedAt applications inviter",
        "Seat": (
            "id tier region parent places taken waiting opensAt closesAt needsCode weights weightsVersion createdAt "
            "closedAt closeReason"
        ),
        "Vacancy": "tier region active gone openPlaces waiting",
        "SeatApplication": (
            "id seat maskedName experienceMonths audience declaredOutput verifiedExperienceMonths verifiedAudience "
            "verifiedOutput review state submittedAt decidedAt reason distributor"
        ),
        "SeatApplicationDetail": (
            "id seat maskedName experienceMonths audience declaredOutput verifiedExperienceMonths verifiedAudience "
            "verifiedOutput review state submittedAt decidedAt reason distributor name region introduction customer "
            "inviter events"
        ),
        "RankedApplication": "position total score weightsVersion criteria application",
        "CriterionShare": "criterion value isVerified rank shareBps weightBps",
        "SeatApplicationEvent": "kind at reason criterion value score position total by",
    },
}
HARMLESS = {
    "Mutation.makePlatformCode": "an invitation of the platform, not its share",
    "SeatWeights.outputBps": "how much a criterion counts: whoever applies shall know",
    "OwnApplication.declaredOutput": "what somebody told of itself, told to itself",
    "SeatApplication.declaredOutput": "as it was told to the platform",
    "SeatApplication.verifiedOutput": "as an operator found it out",
    "SeatApplicationDetail.declaredOutput": "as above",
    "SeatApplicationDetail.verifiedOutput": "as above",
}
